pipeline {
    agent any
    environment {
        A = 'a' - 'b'
        B = [1, 2]
        C == 'x'
        E.f = 'x'
        A2 = 'x'
        A2 = 'y'
        ä = 'z'
        $F = 'x'
        G = { 'x' }
        def H = 'x'
        I += 'x'
    }
    stages { stage('A') { steps { echo 'x' } } }
}
