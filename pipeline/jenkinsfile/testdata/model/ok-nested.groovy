pipeline {
    agent { label 'base' }
    stages {
        stage('Outer') {
            stages {
                stage('First') { steps { echo '1' } }
                stage('Second') {
                    when { not { changeRequest() } }
                    steps { echo '2' }
                }
            }
            post { regression { echo 'worse' }
                fixed { echo 'better' } }
        }
        stage('Wide') {
            parallel {
                stage('A') {
                    stages {
                        stage('A1') { steps { echo 'a1' } }
                        stage('A2') { steps { echo 'a2' } }
                    }
                }
                stage('B') { steps { sleep 1 } }
            }
        }
    }
    post {
        always { echo 'always' }
        changed { echo 'changed' }
        aborted { echo 'aborted' }
        unsuccessful { echo 'unsuccessful' }
        notBuilt { echo 'notBuilt' }
    }
}
