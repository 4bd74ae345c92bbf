pipeline {
    agent any
    parameters { string; string(defaultValue: 'x'); booleanParam(name: 'b') { } }
    stages { stage('A') { steps { echo 'x' } } }
}
