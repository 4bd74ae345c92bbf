pipeline {
    agent any
    stages {
        stage('A') {
            steps {
                if (x) { echo 'y' }
                def x = 1
                x = 2
                x.y()
                docker.image('x').inside { sh 'y' }
                for (a in b) { }
                "$foo"()
                deleteDir
                script 'x'
                stage('B') { echo 'x' }
                properties([])
                1 + 1
                f(1)(2)
                return 1
                try { echo 'x' } finally { }
            }
        }
    }
}
