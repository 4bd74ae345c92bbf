a || b && c | d ^ e & f == g != h <=> i
a =~ b ==~ c
a < b
a in b
a instanceof B
a as List<String>
a << b >> c >>> d .. e ..< f
a + b - c * d / e % f ** g ** h
-a ** b
!a
~a
++a
a--
(int) a + b
(String) a.b
a ? b : c ? d : e
a ?: b ?: c
a = b = c
a += b -= c
a
  ? b
  : c
