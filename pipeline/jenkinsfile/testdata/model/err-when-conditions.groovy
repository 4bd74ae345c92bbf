pipeline {
    agent any
    stages {
        stage('A') {
            when {
                beforeAgent 'x'
                brnch 'x'
                not { }
                not { branch 'a'; branch 'b' }
                allOf { }
                anyOf('x') { branch 'a' }
                branch 'a', 'b'
                branch()
                branch patern: 'x'
                branch 'x', comparator: 'GLOB'
                branch { }
                environment 'x'
                environment name: 'x'
                buildingTag 'x'
                expression true
                equals 1
                tag pattern: '(', comparator: 'REGEXP'
                changelog '('
                changelog()
                triggeredBy()
                branch pattern: 'x', comparator: 'LIKE'
                'x'
                x == y
            }
            steps { echo 'x' }
        }
    }
}
