pipeline {
    agent {
        docker {
            image 'node:20'
            args '-v $HOME/.npm:/root/.npm --network host'
            label 'docker'
            registryUrl 'https://registry.example.com'
            registryCredentialsId 'registry'
            alwaysPull true
        }
    }
    stages {
        stage('Install') { steps { sh 'npm ci' } }
        stage('Tool image') {
            agent { dockerfile { filename 'Dockerfile.ci'; dir 'ci'; additionalBuildArgs '--build-arg V=1'; reuseNode true } }
            steps { sh 'tool --version' }
        }
        stage('Short') {
            agent { docker 'alpine:3' }
            steps { sh 'cat /etc/os-release' }
        }
    }
}
