pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                shh 'make'
                ecoh 'hello'
                foo 'bar'
                retry(3) { ehco 'x' }
                script {
                    sh 'fine'
                    shh 'make'
                    def x = raedFile('f')
                    def y = somethingElse(1)
                    [1].each { unstsh 'x' }
                    foo.bar { shh 'unseen' }
                }
            }
        }
    }
}
