pipeline {
    agent any
    stages {
        stage('A') {
            steps { echo 'x' }
            parallel { stage('B') { steps { echo 'y' } } }
        }
    }
}
