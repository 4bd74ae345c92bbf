pipeline {
    agent any
    environment {
        PATH = "/opt/go/bin:$PATH"
        BRANCH_SLUG = "${env.BRANCH_NAME.replaceAll(/[^a-z0-9]/, '-').toLowerCase()}"
        GIT_SHORT = sh(returnStdout: true, script: 'git rev-parse --short HEAD').trim()
        VERSION = readFile('VERSION').trim()
        SECRET = credentials('secret-text')
        JOINED = 'a' + "${VERSION}" + 'c'
        FLAG = "${params.DEBUG ? '-g' : '-O2'}"
        MODE = env.CHANGE_ID ? 'pr' : 'branch'
        COUNT = 3
    }
    stages {
        stage('Print') {
            environment { COUNT = '4' }
            steps {
                sh 'printenv | sort'
                sh '''
                    set -eu
                    echo "$BRANCH_SLUG" | sed 's/\\.//g'
                '''
                withEnv(["A=${env.COUNT}", 'B=2', 'PATH+X=/x/bin']) {
                    echo "A is ${env.A}, \$B, ${B}"
                }
            }
        }
    }
}
