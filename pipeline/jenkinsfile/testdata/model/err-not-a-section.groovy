pipeline {
    agent any
    echo
    def x = 1
    if (x) { }
    stages { stage('A') { steps { echo 'x' } } }
}
