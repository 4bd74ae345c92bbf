pipeline {
    agent any
    environment { A = 'b' }
    environment { C = 'd' }
    stages { stage('A') { steps { echo 'x' } } }
}
