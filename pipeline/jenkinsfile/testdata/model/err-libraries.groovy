pipeline {
    agent any
    libraries { lib('a@b'); foo 'x'; lib() }
    stages { stage('A') { steps { echo 'x' } } }
}
