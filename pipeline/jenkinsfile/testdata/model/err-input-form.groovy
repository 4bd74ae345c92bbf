pipeline {
    agent any
    stages {
        stage('A') {
            input 'x'
            steps { echo 'x' }
        }
    }
}
