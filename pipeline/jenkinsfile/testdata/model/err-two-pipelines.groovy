pipeline {
    agent any
    
    stages { stage('A') { steps { echo 'x' } } }
}
pipeline {
    agent any
    
    stages { stage('A') { steps { echo 'x' } } }
}
