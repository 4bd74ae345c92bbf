pipeline {
    agent any
    triggers { cron; cron('a'); cron('b'); pollSCM('x') { } }
    stages { stage('A') { steps { echo 'x' } } }
}
