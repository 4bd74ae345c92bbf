podTemplate(label: 'pod', containers: [
    containerTemplate(name: 'maven', image: 'maven:3-jdk-17', ttyEnabled: true, command: 'cat'),
    containerTemplate(name: 'docker', image: 'docker', ttyEnabled: true, command: 'cat'),
  ],
  volumes: [hostPathVolume(hostPath: '/var/run/docker.sock', mountPath: '/var/run/docker.sock')]
) {
    node('pod') {
        stage('Build') {
            container('maven') {
                sh 'mvn -B package'
            }
        }
        stage('Image') {
            container('docker') {
                def tag = "app:${env.BUILD_NUMBER}"
                sh "docker build -t ${tag} ."
            }
        }
    }
}
