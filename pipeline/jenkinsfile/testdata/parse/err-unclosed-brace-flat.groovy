node {
  stage('a') {
    sh 'x'
  }
