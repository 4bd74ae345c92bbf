def f() { }
def g(a, int b = 1, String... c) { return a }
void h() throws A, b.C { }
private static String i(Map args = [:]) { 'x' }
@NonCPS
def j() { 1 }
def 'odd name'() { }
static <T> T k(T x) { x }
