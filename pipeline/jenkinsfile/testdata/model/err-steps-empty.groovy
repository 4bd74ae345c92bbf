pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                
            }
        }
    }
}
