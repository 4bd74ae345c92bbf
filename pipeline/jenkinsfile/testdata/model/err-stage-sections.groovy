pipeline {
    agent any
    stages {
        stage('A') {
            echo 'x'
            sh 'y'
            step { }
            steps { echo 'z' }
            steps { echo 'z' }
            failFast 'yes'
            x = 1
        }
    }
}
