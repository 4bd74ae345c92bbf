pipeline {
    agent any
    optoins { timestamps() }
    foo { }
    stages { stage('A') { steps { echo 'x' } } }
}
