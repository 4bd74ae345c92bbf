def f(x) { x }
emailext subject: "${env.JOB_NAME} - Build # ${env.BUILD_NUMBER} - ${currentBuild.currentResult}!",
    body: '''${SCRIPT, template="groovy-html.template"}''',
    recipientProviders: [[$class: 'DevelopersRecipientProvider'], culprits()],
    to: '$DEFAULT_RECIPIENTS'
timeout time: 5, unit: 'MINUTES', {
    waitUntil {
        def r = sh script: 'wget -q http://localhost/health', returnStatus: true
        return r == 0
    }
}
def image = docker.build "app:${env.BUILD_ID}", '-f ci/Dockerfile .'
docker.withRegistry('https://r.example.com', 'creds') {
    image.push()
    image.push 'latest'
}
docker.image('postgres:16').withRun('-e POSTGRES_PASSWORD=x') { c ->
    docker.image('postgres:16').inside("--link ${c.id}:db") {
        sh 'while ! pg_isready -h db; do sleep 1; done'
    }
}
build job: 'downstream/main', wait: false, propagate: false, parameters: [
    string(name: 'A', value: "${f('x')}"),
    booleanParam(name: 'B', value: true)
]
lock(resource: 'db', inversePrecedence: true) { echo 'locked' }
milestone 1
println "x".toUpperCase() + 'y' * 3
echo "Result: " + (f(1) ? 'one' : 'none') + ' of ' +
    params.size()
env.FOO = 'bar'
env['BAZ'] = "q"
def list = []
list << 'a' << 'b'
list += ['c']
wrap([$class: 'AnsiColorBuildWrapper', colorMapName: 'xterm']) {
    ansiColor('xterm') { sh 'ls --color' }
}
