sh 'make'
sh script: 'a', returnStdout: true
a b c d
a b c
a b, c d: e
a b: 1, { c }
a b: 1 { c }
a.b c
a(1) b
x = a b
def y = a b, c
foo [:]
foo -1
foo !x
foo in: 1, class: 2, 'k': 3, "g$x": 4, (e): 5
timeout(time: 1, unit: 'HOURS') { sh 'x' }
foo
{ bar }
