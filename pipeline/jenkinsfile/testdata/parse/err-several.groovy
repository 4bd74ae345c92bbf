def x = = 1
foo(a b)
node {
    sh 'fine'
    sh "bad $1"
    echo 'also fine'
    if x { }
    bar(1, 2
}
