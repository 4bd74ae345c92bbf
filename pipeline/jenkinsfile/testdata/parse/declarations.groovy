def a
def b = 1, c
int d = 1
final String e = 'x'
List<Map<String, Integer>> f = []
String[] g
a.b.C h
def (i, j) = [1, 2]
def (int k, String l) = x
@Field def m = 1
@Field final Map n = [:]
@A(b = 1, c = 'd') def o
(p, q) = r
