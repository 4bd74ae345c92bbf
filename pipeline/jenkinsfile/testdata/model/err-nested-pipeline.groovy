node {
    pipeline {
        agent any
        
        stages { stage('A') { steps { echo 'x' } } }
    }
    
}
