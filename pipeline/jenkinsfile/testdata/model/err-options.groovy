pipeline {
    agent any
    options {
        timestamps
        timestamps()
        timestamps()
        retry(3) { }
        echo('x')
        parameters([string(name: 'x')])
        pipelineTriggers([cron('x')])
        timeout(tim: 5)
        timeout()
    }
    stages { stage('A') { steps { echo 'x' } } }
}
