// alone
import static java.lang.Math.max
pipeline {
    agent any
    environment {
        TOKEN = credentials('token')
    }
    stages {
        stage('x') {
            steps {
                withMaven { sh 'mvn' }
                script {
                    def j = readJSON file: 'x.json'
                    junit 'x.xml'
                    slackSend channel: '#x', message: 'y'
                }
            }
        }
    }
}
