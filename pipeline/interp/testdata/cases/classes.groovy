//// basics
class Point {
    int x
    int y = 5
    static int made = 0
    static final String NAME = 'P'
    Point() { made++ }
    Point(int x, int y) { this(); this.x = x; this.y = y }
    int sum() { x + y }
    String toString() { "($x, $y)" }
    static Point origin() { new Point(0, 0) }
    def plus(Point o) { new Point(x + o.x, y + o.y) }
    boolean equals(Object o) { o instanceof Point && o.x == x && o.y == y }
    int hashCode() { x }
}
def p = new Point(1, 2)
println p
println p.sum()
println p.x
p.x = 10
println "$p"
println Point.origin()
println Point.made
println Point.NAME
println p + new Point(1, 1)
println new Point(1, 2) == new Point(1, 2)
println new Point().y
println p.getX()
p.setX(3)
println p.x
println p.class
println p instanceof Point
println([p, p]*.x)
//// inheritance
class Animal {
    String name
    Animal(String name) { this.name = name }
    String speak() { "$name: ${sound()}" }
    String sound() { '...' }
}
class Dog extends Animal {
    Dog(String n) { super(n + '!') }
    String sound() { 'woof' }
    String loud() { super.speak().toUpperCase() }
}
def d = new Dog('rex')
println d.speak()
println d.loud()
println d instanceof Animal
Animal a = d
println a.name
//// map constructor
class Conf { String host = 'h'; int port; List tags = []; def any }
def c = new Conf(host: 'x', port: 80)
println c.host + c.port
println c.tags
c.tags << 'a'
println new Conf().tags
println c.any
println(new Conf(port: 1).with { host + port })
try { new Conf(nope: 1) } catch (MissingPropertyException e) { println 'no nope' }
try { c.nope } catch (MissingPropertyException e) { println e.message.readLines()[0] }
try { c.nope() } catch (MissingMethodException e) { println e.message.readLines()[0] }
//// getters
class T {
    private int n = 1
    int getN() { n * 10 }
    void setN(int v) { n = v }
    boolean isOk() { true }
    String getName() { 'virtual' }
    def call(x) { "called $x" }
    def getAt(i) { "at $i" }
}
def t = new T()
println t.n
t.n = 4
println t.n
println t.ok
println t.name
println t(5)
println t[3]
//// enums
enum Color {
    RED, GREEN('g'), BLUE('b')
    final String code
    Color() { code = 'r' }
    Color(String c) { code = c }
    String nice() { "$code:${name()}" }
}
println Color.RED
println Color.GREEN.code
println Color.BLUE.nice()
println Color.values()
println Color.valueOf('RED').ordinal()
println Color.RED == Color.RED
println Color.RED < Color.BLUE
println 'GREEN' as Color
switch (Color.RED) { case Color.RED: println 'is red'; break; default: println 'no' }
def m = [(Color.RED): 1]
println m[Color.RED]
try { Color.valueOf('X') } catch (IllegalArgumentException e) { println 'iae' }
//// exceptions of the script
class MyEx extends Exception {
    int code
    MyEx(String m, int code) { super(m); this.code = code }
}
try { throw new MyEx('bad', 7) } catch (MyEx e) { println e.message + e.code }
try { throw new MyEx('bad', 7) } catch (Exception e) { println e.code }
try { throw new MyEx('bad', 7) } catch (RuntimeException e) { println 'no' } catch (e) { println e.class.simpleName }
class Plain extends RuntimeException { Plain(String m) { super(m) } }
throw new Plain('last')
//// static and nested
class Util {
    static final Map TABLE = [a: 1]
    static int count
    static int next() { ++count }
    static String join(List l, String sep = ',') { l.join(sep) }
    static class Inner { def v = 3 }
}
println Util.next() + Util.next()
println Util.join([1, 2])
println Util.TABLE.a
println new Util.Inner().v
println Util.count
//// closures in classes
class Runner {
    def list = []
    def run() {
        [1, 2].each { list << it * factor() }
        list
    }
    def factor() { 3 }
    def each(Closure c) { list.each(c) }
}
def r = new Runner()
println r.run()
r.each { println it }
//// interface
interface Shape { double area() }
class Square implements Shape { double s; double area() { s * s } }
println new Square(s: 2).area()
println new Square(s: 2) instanceof Shape
Shape sh = { 7.0d } as Shape
println sh.area()
abstract class Base { abstract String id(); String show() { "<${id()}>" } }
class Impl extends Base { String id() { 'impl' } }
println new Impl().show()
