node {
    sh 'x'
}
}
echo 'y'
