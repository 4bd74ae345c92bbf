pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                sh '''
                    one
                    two
                '''
                echo 'x' // comment
            }
        }
    }
}
