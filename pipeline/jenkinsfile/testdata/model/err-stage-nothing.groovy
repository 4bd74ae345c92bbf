pipeline {
    agent any
    stages {
        stage('A') {
            agent any
        }
    }
}
