pipeline {
    agent any
    environment { }
    stages { stage('A') { steps { echo 'x' } } }
}
