#!/usr/bin/env groovy
@Library('tools@v2') _

def version = '1.0'

def greet(String who, times = 1) {
    echo "Hello ${who} $times"
    return times * 2
}

pipeline {
    agent { label 'linux && docker' }
    options {
        timeout(time: 1, unit: 'HOURS')
        buildDiscarder(logRotator(numToKeepStr: '10'))
        timestamps()
    }
    environment {
        PATH = "/opt/bin:${env.PATH}"
        CC = 'clang'
    }
    stages {
        stage('Build') {
            steps {
                sh 'make'
                sh(script: "make install DESTDIR=$WORKSPACE/out", label: 'install')
                script {
                    def xs = [1, 2, 3].collect { it * 2 }
                    for (x in xs) { echo "x: ${x}" }
                    if (env.BRANCH_NAME ==~ /release\/.*/ && !params.SKIP) {
                        greet 'release', 2
                    } else if (x?.y ?: false) {
                        try { error 'no' } catch (hudson.AbortException | RuntimeException e) { echo e.message } finally { cleanWs() }
                    }
                }
            }
        }
    }
    post { always { junit allowEmptyResults: true, testResults: '**/*.xml' } }
}
