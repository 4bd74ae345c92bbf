pipeline {
    agent {
        kubernetes {
            inheritFrom 'base'
            defaultContainer 'jnlp'
            yaml """
apiVersion: v1
kind: Pod
spec:
  containers:
  - name: golang
    image: golang:1.22
    command: ['sleep', '99d']
    env:
    - name: BRANCH
      value: ${env.BRANCH_NAME}
"""
        }
    }
    stages {
        stage('Build') {
            steps {
                container('golang') {
                    sh 'go build ./...'
                }
            }
        }
    }
}
