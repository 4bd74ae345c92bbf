pipeline {
    agent any
    options { rateLimitBuilds(x: 1); xmosDiscard(a: 1); timestmps() }
    triggers { githubPush(); crn('x') }
    parameters { gitParameter(name: 'x') }
    tools { terraform 'x'; mavn 'y' }
    stages { stage('A') { steps { echo 'x' } } }
}
