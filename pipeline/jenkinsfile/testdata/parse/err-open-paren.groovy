node {
    sh(script: 'x',
       label: 'y'
    echo 'z'
}
