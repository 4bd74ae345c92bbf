pipeline {
    agent any
    stages {
        stage('All') {
            when {
                beforeOptions true
                anyOf {
                    branch 'feature/*'
                    branch pattern: 'x', comparator: 'EQUALS'
                    tag 'v*'
                    tag pattern: /v\d+/, comparator: "REGEXP"
                    buildingTag()
                    changeRequest()
                    changeRequest target: 'main'
                    changeset '**/*.go'
                    changeset glob: 'docs/**', caseSensitive: true
                    changelog '.*\\[ci\\].*'
                    environment name: 'DEPLOY', value: 'yes', ignoreCase: true
                    equals expected: 2, actual: currentBuild.number
                    expression { return env.X == 'y' && !(params.Z) }
                    triggeredBy 'TimerTrigger'
                    triggeredBy cause: 'UserIdCause', detail: 'alice'
                    isRestartedRun()
                    not { branch 'main' }
                    allOf { branch 'a'; not { tag 'b' } }
                }
            }
            steps { echo 'yes' }
        }
    }
}
