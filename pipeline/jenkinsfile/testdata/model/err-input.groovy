pipeline {
    agent any
    stages {
        stage('A') {
            input {
                ok 'yes'
                message2 'x'
                id()
                submitter 'a', 'b'
                5
                parameters 'x'
            }
            steps { echo 'x' }
        }
    }
}
