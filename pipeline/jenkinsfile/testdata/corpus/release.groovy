@Library('release') import com.example.Release
import groovy.transform.Field

@Field String nextVersion

node('release') {
    ws("/srv/ws/${env.JOB_NAME.replace('/', '_')}") {
        def scmVars = checkout scm
        withEnv(["COMMIT=${scmVars.GIT_COMMIT}"]) {
            stage('Version') {
                def props = readProperties file: 'gradle.properties'
                def (major, minor, patch) = props.version.tokenize('.').collect { it as Integer }
                nextVersion = [major, minor, patch + 1].join('.')
                echo "Next: ${-> nextVersion}"
            }
            stage('Approve') {
                timeout(time: 3, unit: 'DAYS') {
                    def answer = input(message: 'Release?', parameters: [
                        choice(choices: 'minor\nmajor', name: 'KIND'),
                        text(name: 'NOTES', defaultValue: '')
                    ], submitterParameter: 'WHO')
                    env.WHO = answer['WHO']
                }
            }
            stage('Publish') {
                sshagent(credentials: ['deploy']) {
                    sh """#!/bin/bash -ex
                        git tag -a v${nextVersion} -m "release ${nextVersion}"
                        git push origin "v${nextVersion}"
                    """
                }
            }
        }
    }
}
