node {
    sh '''
        make
    ''
}
