pipeline {
    agent any
    tools {
        maven 'Maven 3.9'
        jdk 'temurin-17'
    }
    triggers { cron('H 4 * * 1-5'); pollSCM 'H/15 * * * *' }
    environment {
        MAVEN_OPTS = '-Xmx2g -Djava.awt.headless=true'
        NEXUS = credentials('nexus-deploy')
    }
    stages {
        stage('Build') {
            steps { sh 'mvn -B -ntp clean verify' }
            post {
                success { junit '**/target/surefire-reports/*.xml' }
                unstable { echo 'tests failed' }
            }
        }
        stage('Deploy') {
            when { branch pattern: 'release/.*', comparator: 'REGEXP' }
            input {
                message 'Deploy?'
                ok 'Yes'
                submitter 'alice,bob'
                parameters { string(name: 'TARGET', defaultValue: 'staging', description: 'where') }
            }
            options { timeout(time: 1, unit: 'DAYS'); retry(2) }
            steps {
                sh "mvn -B deploy -Dtarget=${TARGET} -Duser=${NEXUS_USR}"
                script {
                    currentBuild.displayName = "#${BUILD_NUMBER} ${TARGET}"
                    currentBuild.description = 'deployed'
                }
            }
        }
    }
}
