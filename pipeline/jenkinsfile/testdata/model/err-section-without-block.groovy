pipeline {
    agent any
    environment 'x'
    options()
    post true
    stages { stage('A') { steps { echo 'x' } } }
}
