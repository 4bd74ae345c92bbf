pipeline {
    agent none
    stages {
        stage('Matrix') {
            failFast false
            matrix {
                agent { label "${OS}-agent" }
                when { expression { OS == params.ONLY || params.ONLY == 'all' } }
                axes {
                    axis { name 'OS'; values 'linux', 'windows', 'mac' }
                    axis {
                        name 'BROWSER'
                        values 'firefox', 'chrome', 'safari', 'edge'
                    }
                }
                excludes {
                    exclude {
                        axis { name 'OS'; values 'linux' }
                        axis { name 'BROWSER'; values 'safari', 'edge' }
                    }
                    exclude {
                        axis { name 'OS'; notValues 'mac' }
                        axis { name 'BROWSER'; values 'safari' }
                    }
                }
                environment { WHERE = "${OS}/${BROWSER}" }
                stages {
                    stage('Build') { steps { echo "Do Build for ${OS} - ${BROWSER}" } }
                    stage('Test') {
                        when { environment name: 'BROWSER', value: 'firefox' }
                        steps { echo "Do Test for $WHERE" }
                    }
                }
                post { always { echo 'cell done' } }
            }
        }
    }
}
