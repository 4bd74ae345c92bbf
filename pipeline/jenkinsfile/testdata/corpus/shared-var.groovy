// vars/standardPipeline.groovy
def call(Closure body) {
    def config = [:]
    body.resolveStrategy = Closure.DELEGATE_FIRST
    body.delegate = config
    body()

    pipeline {
        agent { label config.label ?: 'linux' }
        stages {
            stage('Build') {
                steps { sh config.command }
            }
        }
    }
}

def call(Map args = [:], String name) {
    call { label = name; command = args.get('command', 'make') }
}
