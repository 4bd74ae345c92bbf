pipeline {
    agent any
    stages {
        stage { steps { echo 'x' } }
        stage('') { steps { echo 'x' } }
        stage('A')
        stage(5) { steps { echo 'x' } }
        stage(name) { steps { echo 'x' } }
        echo 'x'
        stage('B') { steps { echo 'x' } }
        stage('B') { steps { echo 'y' } }
    }
}
