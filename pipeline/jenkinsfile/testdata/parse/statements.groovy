if (a) b else if (c) { d } else e
if (a)
    b
while (a) { b; continue }
while (a);
for (x in y) z
for (int x : y) { break }
for (int i = 0; i < 3; i++) { }
for (;;) { break outer }
outer: for (x in y) { }
switch (a) {
  case 1:
  case 2: b; break
  case 'x': c
  default: d
}
try { a } catch (B | c.D e) { f } catch (g) { } finally { h }
throw a
return
return a
assert a : b
assert a, 'b'
L: { a }
synchronized (a) { b }
