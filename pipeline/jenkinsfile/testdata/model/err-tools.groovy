pipeline {
    agent any
    tools { maven; maven(); jdk 'a', 'b'; 5 }
    stages { stage('A') { steps { echo 'x' } } }
}
