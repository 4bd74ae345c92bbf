pipeline {
    agent any
    post { cleanup { echo 'c' }
 success { echo 's' }
 always { echo 'a' }
 failure { echo 'f' } }
    stages { stage('A') { steps { echo 'x' } } }
}
