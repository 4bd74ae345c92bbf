stage 'Checkout'
node('master') {
  git url: 'https://git.example.com/app.git', branch: 'develop'
  stage 'Build'
  def mvnHome = tool 'M3'
  sh "${mvnHome}/bin/mvn -B verify"
  step([$class: 'JUnitResultArchiver', testResults: '**/target/*.xml'])
  step $class: 'ArtifactArchiver', artifacts: '**/target/*.jar', fingerprint: true
}
stage name: 'Deploy', concurrency: 1
input message: "Does http://localhost:8888/staging/ look good?", ok: 'Ship it'
checkpoint('Before production')
node { sh './deploy.sh' }
