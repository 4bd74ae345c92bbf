@Library('x') _
pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                buildThing 'x'
                shh 'y'
            }
        }
    }
}
