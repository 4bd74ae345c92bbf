pipeline {
    agent any
    stages {
        stage('A') {
            agent { label 'x' }
            tools { maven 'x' }
            parallel {
                stage('B') {
                    parallel { stage('C') { steps { echo 'x' } } }
                }
                stage('D') {
                    stages { stage('E') { matrix { axes { axis { name 'X'; values 'y' } }; stages { stage('F') { steps { echo 'x' } } } } } }
                }
                stage('B') { steps { echo 'again' } }
            }
        }
    }
}
