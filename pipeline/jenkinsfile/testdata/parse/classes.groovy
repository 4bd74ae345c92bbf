package a.b
import c.D
import c.*
import static c.D.e as f
@Foo abstract class A extends B<C> implements D, e.F {
    private int x = 1, y
    static { z = 1 }
    { w = 2 }
    A(int x) { this(x, 1) }
    abstract void f()
    static class Inner { }
    def g() { super.g() }
}
interface I extends J { int X = 1; void f(a) }
enum E { A(1), B { def f() { 2 } }; final int x; E(int x = 0) { this.x = x } }
trait T { def f() { } }
@interface N { String value() default 'x'; int n = 1 }
