a = { }
b = { -> }
c = { it }
d = { x -> x }
e = { int x, y = 2, String... z -> x }
f = { final x, def y, @A z -> 1 }
g = { a
 -> b }
h = { x = 1
}
