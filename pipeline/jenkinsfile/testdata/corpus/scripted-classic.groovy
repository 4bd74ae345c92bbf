#!groovy

properties([
    buildDiscarder(logRotator(numToKeepStr: '20')),
    parameters([
        string(name: 'BRANCH', defaultValue: 'main'),
        booleanParam(name: 'CLEAN', defaultValue: false)
    ]),
    pipelineTriggers([cron('H 2 * * *')])
])

def commit = ''
final int RETRIES = 3

node('linux') {
    try {
        stage('Checkout') {
            checkout([$class: 'GitSCM', branches: [[name: "*/${params.BRANCH}"]],
                      extensions: [[$class: 'CleanBeforeCheckout'], [$class: 'CloneOption', depth: 1, shallow: true]],
                      userRemoteConfigs: [[url: 'https://git.example.com/x.git', credentialsId: 'git']]])
            commit = sh(script: 'git rev-parse HEAD', returnStdout: true).trim()
            echo "at $commit"
        }
        stage 'Build'
        retry(RETRIES) {
            timeout(10) {
                sh "make ${params.CLEAN ? 'clean all' : 'all'}"
            }
        }
        stage('Test') {
            def status = sh returnStatus: true, script: 'make test'
            if (status != 0) {
                currentBuild.result = 'UNSTABLE'
            } else
                echo 'all well'
        }
    } catch (Exception e) {
        currentBuild.result = 'FAILURE'
        throw e
    } finally {
        deleteDir()
    }
}
