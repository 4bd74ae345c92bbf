pipeline {
    agent { }
    stages {
        stage('A') { agent { label 'a'; docker 'b' }; steps { echo 'x' } }
        stage('B') { agent { slave 'x' }; steps { echo 'x' } }
        stage('C') { agent 'linux'; steps { echo 'x' } }
        stage('D') { agent label: 'x'; steps { echo 'x' } }
        stage('E') { agent { docker { args '-v' } }; steps { echo 'x' } }
        stage('F') { agent { node { labl 'x' } }; steps { echo 'x' } }
        stage('G') { agent { label() }; steps { echo 'x' } }
        stage('H') { agent(); steps { echo 'x' } }
        stage('I') { agent { dockerfile { filename 'a/Dockerfile' } }; steps { echo 'x' } }
        stage('J') { agent { 1 + 1 }; steps { echo 'x' } }
        stage('K') { agent { node { label 'a', 'b'; 5 } }; steps { echo 'x' } }
    }
}
