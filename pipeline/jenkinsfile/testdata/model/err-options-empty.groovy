pipeline {
    agent any
    options { }
    triggers { }
    parameters { }
    tools { }
    libraries { }
    post { }
    stages { stage('A') { steps { echo 'x' } } }
}
