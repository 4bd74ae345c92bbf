pipeline {
    agent none
    options {
        buildDiscarder(logRotator(daysToKeepStr: '30', numToKeepStr: '50', artifactNumToKeepStr: '5'))
        disableConcurrentBuilds(abortPrevious: true)
        timeout(time: 45, unit: 'MINUTES')
        skipDefaultCheckout()
    }
    parameters {
        string(name: 'VERSION', defaultValue: '', description: 'Version to release; empty for a snapshot')
        booleanParam(name: 'PUSH', defaultValue: false, description: 'Push the image')
        choice(name: 'LEVEL', choices: ['debug', 'info', 'warn'], description: '')
    }
    environment {
        GOFLAGS = '-mod=readonly'
        IMAGE = "registry.example.com/team/service:${params.VERSION ?: env.BUILD_NUMBER}"
    }
    stages {
        stage('Checkout') {
            agent { label 'linux' }
            steps {
                checkout scm
                stash name: 'source', includes: '**/*', useDefaultExcludes: false
            }
        }
        stage('Verify') {
            failFast true
            parallel {
                stage('Unit') {
                    agent { label 'linux && amd64' }
                    steps {
                        unstash 'source'
                        sh 'go test -race ./... 2>&1 | tee test.log'
                    }
                    post {
                        always { archiveArtifacts artifacts: 'test.log', allowEmptyArchive: true }
                    }
                }
                stage('Lint') {
                    agent { label 'linux' }
                    steps {
                        unstash 'source'
                        sh """
                            golangci-lint run \
                                --timeout 5m ./...
                        """
                    }
                }
            }
        }
        stage('Image') {
            when {
                beforeAgent true
                allOf {
                    expression { params.PUSH }
                    anyOf { branch 'main'; buildingTag() }
                }
            }
            agent { node { label 'docker'; customWorkspace '/srv/build/image' } }
            steps {
                unstash 'source'
                withCredentials([usernamePassword(credentialsId: 'registry', usernameVariable: 'USER', passwordVariable: 'PASS')]) {
                    sh 'echo "$PASS" | docker login -u "$USER" --password-stdin registry.example.com'
                    sh "docker build -t ${IMAGE} ."
                }
            }
        }
    }
    post {
        failure {
            mail to: 'team@example.com', subject: "Failed: ${currentBuild.fullDisplayName}", body: "See ${env.BUILD_URL}"
        }
        cleanup { echo 'bye' }
    }
}
