pipeline {
    agent { node { label 'spot'; retries 2 } }
    stages {
        stage('Flaky') {
            options { retry(count: 3, conditions: [agent(), nonresumable()]) }
            steps {
                catchError(buildResult: 'SUCCESS', stageResult: 'UNSTABLE', message: 'flaky') {
                    sh './flaky.sh'
                }
                warnError('lint') { sh './lint.sh' }
                timeout(time: 30, unit: 'SECONDS', activity: true) { sh 'sleep 10' }
            }
        }
    }
}
