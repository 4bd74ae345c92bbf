// alone
def readYaml(file) { echo "my own ${file}" }
def zip = { echo it }
node {
    readYaml 'x'
    zip 'y'
    junit 'known here'
    def m = readMavenPom file: 'pom.xml'
    withAWS(region: 'x') { unknownInside() }
    someObject.slackSend 'not a step'
}
