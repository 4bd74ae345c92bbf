def greet(x) { echo x }
def l = 'a'
pipeline {
    agent { label l }
    libraries { lib('x') }
    stages { stage("S ${l}") { steps { greet 'x' } } }
}
echo 'after'
