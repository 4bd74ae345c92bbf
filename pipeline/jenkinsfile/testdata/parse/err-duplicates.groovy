foo(a: 1, b: 2, a: 3)
class A { }
class A { }
private private x = 1
switch (x) { default: a; default: b }
