def f(x) { echo x }
node('x') {
    stage('y') {
        f 'fine'
        shh 'make'
        g = { 1 }
        g()
        println 'x'
        docker.build('x')
        unknownThing(1)
    }
}
