pipeline {
    agent any
    post {
        allways { echo 'x' }
        always { }
        failure { echo 'x' }
        failure { echo 'y' }
        echo 'z'
        success 'x'
    }
    stages { stage('A') { steps { echo 'x' } } }
}
