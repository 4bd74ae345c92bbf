pipeline {
    agent any
    stages {
        stage('A') {
            matrix {
                axes {
                    axis { name 'X'; values 'a', "${b}", c }
                    axis { name 'X'; values 'a' }
                    axis { name 'Y' }
                    axis { values 'z' }
                    axis { name 'Z'; notValues 'q' }
                    foo { }
                }
                excludes {
                    exclude { axis { name 'W'; values 'a' } }
                    exclude { axis { name 'X'; values 'nope' } }
                    foo { }
                }
                steps { echo 'x' }
            }
        }
    }
}
