a.b.c
a?.b*.c
a.@b
a.&b
a.'b c'.d
a."b$c"
a[0][1, 2]
a[0..-1]
a[k: 1]
a()()
a.b(1)(2)
a { b }
a(1) { b } { c }
a.b { c }
a
  .b()
  ?.c
a.class
int.class
String[].class
new A(1, k: 2).b
new a.B<C>()
new int[3][4]
new A() { def f() { 1 } }
{ -> 1 }()
"m"(1)
"m$x"(1)
this.a
super.a()
