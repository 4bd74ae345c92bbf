pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                sh()
                sh(scrpt: 'x')
                sh(script: 'x', returnStdot: true)
                sh('a', 'b')
                sh('a', label: 'b')
                timeout(time: 'soon') { echo 'x' }
                timeout(time: 5, unit: 'HOUR') { echo 'x' }
                timeout(time: true, activity: 'maybe') { echo 'x' }
                retry { echo 'x' }
                retry('x') { echo 'x' }
                timeout(5)
                writeFile 'x'
                writeFile file: 'x'
                deleteDir 'x'
                deleteDir(x: 1)
                echo { }
                stash includes: 'x'
                stash name: 'x', allowEmpty: 3
            }
        }
    }
}
