pipeline {
    agent any
    notifications { }
    postBuild { }
    properties { }
    jobProperties { }
    stages { stage('A') { steps { echo 'x' } } }
}
