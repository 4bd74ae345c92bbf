pipeline {
    agent foo
    
    stages { stage('A') { steps { echo 'x' } } }
}
