pipeline {
    agent any
    stages {
        stage('A') {
            when { }
            steps { echo 'x' }
        }
    }
}
