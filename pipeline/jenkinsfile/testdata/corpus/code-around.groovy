def notify(String status, Map extra = [:]) {
    def colour = [SUCCESS: 'good', FAILURE: 'danger'][status] ?: 'warning'
    slackSend(color: colour, message: "${status}: ${env.JOB_NAME} ${extra.note ?: ''}")
}

def agentLabel = env.BRANCH_NAME == 'main' ? 'release' : 'any-linux'
boolean isMain() { return env.BRANCH_NAME == 'main' }

pipeline {
    agent { label agentLabel }
    stages {
        stage('Build') {
            steps {
                notify('STARTED')
                script {
                    if (isMain()) {
                        def tags = sh(script: 'git tag --points-at HEAD', returnStdout: true).split('\n').findAll { it }
                        tags.each { tag -> echo "tag $tag" }
                    }
                }
            }
        }
    }
    post {
        success { notify 'SUCCESS' }
        failure { notify 'FAILURE', [note: 'look'] }
    }
}

echo 'after'
