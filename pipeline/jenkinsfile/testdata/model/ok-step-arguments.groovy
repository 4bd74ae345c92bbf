pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                sh 'a'
                sh(script: 'a')
                sh([script: 'a'])
                sh script: 'a', returnStdout: true
                timeout('5') { echo 'x' }
                timeout(time: "${X}".toInteger()) { echo 'x' }
                retry(X) { echo "y" }
                checkout scm
                checkout([$class: 'GitSCM', branches: []])
                checkout scmGit(branches: [])
                parallel a: { echo 'x' }, b: { sh 'y' }, failFast: true
                sh(*args)
                sh(*: args)
                stash(args)
                deleteDir()
                waitUntil { sh 'x' }
                node { sh 'x' }
                node('x') { sh 'y' }
            }
        }
    }
}
