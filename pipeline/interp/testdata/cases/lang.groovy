//// hello
println 'hello'
def x = 3
println "x is $x and ${x + 1}"
//// arithmetic
println 5/2
println 6/2
println 10/3
println 1/3.0
println 7.intdiv(2)
println 7 % 3
println(-7 % 3)
println 2**10
println 2**-1
println 2**40
println 1.5 + 2
println 0.1 + 0.2
println 1.10 * 2
println 3 * 1.0
println 1e3
println 1e-10
println 100.0 / 3
println 1.0 / 8
println 10.0f
println 2.5d * 2
println 1.0d / 3
//// overflow
println 2147483647 + 1
println 2147483647L + 1
println 9223372036854775807L + 1
println 2147483648
println(-2147483648 - 1)
println 65536 * 65536
println 3000000000 * 2
println 10G ** 20
println Integer.MAX_VALUE
println Long.MAX_VALUE
//// doubles
println 1.0e10d
println 1.0e-5d
println 123456789.0d
println 0.001d
println 100d
println 1d/0
println Math.sqrt(2)
println 3.7d.toInteger()
println 1e7d
println 1e6d
//// truth
println([null, 0, '', [], [:], false, 0.0, ' ', [0], [a: 1], 'false', 1].collect { it ? 'T' : 'F' }.join())
println(!'x')
println('' ?: 'default')
println(0 ?: 5)
println null?.foo
println null?.foo()
//// equality
println 1 == 1L
println 1 == 1.0
println 'a' == "${'a'}"
println([1, 2] == [1, 2])
println([a: 1] == [a: 1L])
println(null == false)
println 'a' != 'b'
println 1 <=> 2
println 'b' <=> 'a'
println(null <=> 1)
println([1,2].equals([1,2]))
println 1.equals(1L)
println 1.0 == 1.00
println 1.0.equals(1.00)
println([1] == ([1] as Set))
println((1..3) == [1,2,3])
//// strings
def s = 'abc'
println s + 1
println 1 + s
println s - 'b'
println s * 3
println s[0] + s[-1] + s[0..1] + s[1..-1]
println s[2..0]
println(null + 'x')
println 'x' + null
println "${null}"
println "a${1}b${[1,2]}c${[a: 1]}"
println 'it\'s'
println "tab\tnew\\line \$x"
println '''multi
line'''
println """multi
${s}"""
println(/slashy\d+/)
println($/dollar ${s} $$ /$)
println "$s.length()"
println "${s.length()}"
def m = [a: [b: 7]]
println "$m.a.b"
println s << 'd'
//// slices
def l = [1, 2, 3, 4, 5]
println l[0]
println l[-1]
println l[1..3]
println l[-2..-1]
println l[3..1]
println l[0, 2, 4]
println l[0, 3..4]
println l[10]
println l[1..<3]
println l[0..<0]
l[7] = 8
println l
l[1..2] = ['x']
println l
l[-1] = 'last'
println l
println l[-20]
//// lists
def l = [3, 1, 2]
l << 4
l += 5
l += [6, 7]
println l
println l - 3
println l - [1, 2]
println l + 'x'
println l * 2
println l.size()
println 3 in l
println 9 in l
println(!(9 in l))
println([1, [2, 3]])
println(['a', 'b'])
println([] as String)
println([1, null, 'x'])
println l.class
println l.getClass().name
//// maps
def m = [a: 1, 'b': 2, (1 + 2): 'three', "k${1}": 0]
println m
println m.a
println m['b']
println m[3]
println m.missing
m.c = 5
m['d'] = 6
println m
println m + [z: 1]
println m.size()
println 'a' in m
println m.keySet()
println m.values()
println m*.key
println([:])
println([a: [b: [c: 1]]].a.b.c)
println m.find { k, v -> v == 2 }
println m.collect { k, v -> "$k=$v" }
m.remove('a')
println m
println m.getOrDefault('q', 9)
println m.get('zz', 7)
println m.containsKey('zz')
println([a: 1].getClass().name)
//// gstring keys
def k = 'x'
def m = [:]
m["$k"] = 1
println m['x']
println m.x
def n = ["$k": 2]
println n['x']
println n["$k"]
println n.keySet().first().getClass().simpleName
m.put("$k", 3)
println m
//// ranges
println(1..5)
println(1..<5)
println(5..1)
println('a'..'e')
println((1..5).collect { it * 2 })
println((1..10).step(3))
println(3 in 1..5)
println(3.5 in 1..5)
println((1..3).class)
for (i in 0..<3) println i
println((1..3).sum())
println((1..0).size())
println((0..<0).size())
println((1..4)[1..2])
println((1..3).contains(2))
println((1..3).reverse())
//// control
for (int i = 0; i < 3; i++) { println i }
def i = 0
while (true) {
    i++
    if (i == 2) continue
    if (i > 4) break
    println i
}
outer:
for (a in 1..3) {
    for (b in 1..3) {
        if (b == 2) continue outer
        if (a == 3) break outer
        println "$a$b"
    }
}
for (e in [a: 1, b: 2]) println "${e.key}-${e.value}"
for (c in 'xyz') println c
for (int x : [1, 2]) println x
if (i) println 'yes' else println 'no'
println i > 3 ? 'big' : 'small'
for (n in null) println 'never'
for (n in 7) println n
//// switch
def f(x) {
    switch (x) {
        case 1: return 'one'
        case [2, 3]: return 'two or three'
        case 4..6: return 'range'
        case String: return 'string'
        case ~/\d+x/: return 'regex'
        case { it > 100 }: return 'closure'
        case null: return 'null'
        default: return 'other'
    }
}
println f(1)
println f(2)
println f(5)
println f('s')
println f(1000)
println f(50)
println f(null)
def r = ''
switch (2) {
    case 1: r += 'a'
    case 2: r += 'b'
    case 3: r += 'c'; break
    case 4: r += 'd'
}
println r
switch ('x') {
    default: println 'd'
    case 'y': println 'fell'
}
//// methods
def add(a, b = 10) { a + b }
String name(String first, String last = 'Doe', int n = 1) { "$first $last $n" }
def named(Map args, x) { "${args} $x" }
def vararg(Object... xs) { xs.size() }
def typed(int a) { 'int' }
def typed(String a) { 'string' }
def typed(List a) { 'list' }
def typed(a) { 'object' }
static int twice(int x) { return x * 2 }
println add(1)
println add(1, 2)
println name('A')
println name('A', 'B')
println name('A', 'B', 3)
println named(a: 1, b: 2, 'x')
println vararg()
println vararg(1, 2, 3)
println typed(1)
println typed('x')
println typed([1])
println typed(2.5)
println typed("${1}")
println twice(4)
void nothing() { 5 }
println nothing()
def implicit(x) { if (x) { 'yes' } else { 'no' } }
println implicit(true)
println implicit(false)
def early(x) { if (x) return 'early'; 'late' }
println early(1) + early(0)
//// recursion
def fact(n) { n <= 1 ? 1 : n * fact(n - 1) }
println fact(5)
println fact(20G)
def fib
fib = { n -> n < 2 ? n : fib(n - 1) + fib(n - 2) }
println fib(12)
//// closures
def c = { it * 2 }
println c(3)
println c.call(4)
def add = { a, b = 5 -> a + b }
println add(1)
println add(1, 2)
def none = { -> 'none' }
println none()
def counter = 0
def inc = { counter++ }
3.times(inc)
println counter
def curried = { a, b, d -> "$a$b$d" }.curry('x')
println curried('y', 'z')
println({ a, b -> "$a-$b" }.rcurry('r')('l'))
def compose = { it + 1 } >> { it * 10 }
println compose(1)
println(({ it + 1 } << { it * 10 })(1))
println([1, 2, 3].collect(c))
def m = this.&toString
println m != null
def up = 'abc'.&toUpperCase
println up()
println([[1, 2], [3, 4]].collect { a, b -> a + b })
println c.maximumNumberOfParameters
println none.maximumNumberOfParameters
def nested = { x -> { y -> x + y } }
println nested(1)(2)
def ret = { if (it > 1) return 'big'; 'small' }
println ret(2) + ret(1)
def vs = { Object... a -> a.size() }
println vs(1, 2, 3)
//// closure scope
def fs = []
for (i in 1..3) { fs << { i } }
println fs.collect { it() }
def gs = []
for (int i = 0; i < 3; i++) { gs << { i } }
println gs.collect { it() }
def hs = []
[1, 2, 3].each { x -> hs << { x } }
println hs.collect { it() }
def ks = []
for (i in 1..3) { def j = i; ks << { j } }
println ks.collect { it() }
//// delegate
class Conf { String name; int port; def host(h) { name = h } }
def conf = new Conf()
def c = { host 'example'; port = 80 }
c.delegate = conf
c.resolveStrategy = Closure.DELEGATE_FIRST
c()
println conf.name + conf.port
conf.with { name = 'w'; port = 1 }
println conf.name + conf.port
println 'abc'.with { toUpperCase() }
println([a: 1].with { a + 1 })
def config = [:]
def body = { x = 1; y = 'two' }
body.resolveStrategy = Closure.DELEGATE_FIRST
body.delegate = config
body()
println config
//// multiple assignment
def (a, b) = [1, 2]
println "$a $b"
def (x, y, z) = ['p', 'q']
println "$x $y $z"
(a, b) = [b, a]
println "$a $b"
def (int p, String q) = [3, 4]
println p + q
def (h, t) = 'a-b'.split('-')
println h + t
//// elvis and safe
def m = [a: null]
println m.a ?: 'none'
println m?.b?.c
println m.b?.c?.d
def s = null
println s?.length()
println s?.toUpperCase()?.trim() ?: 'nothing'
//// spread
println(['a', 'bb']*.length())
println([[n: 1], [n: 2]]*.n)
println([[n: 1], [n: 2]].n)
def f(a, b, c) { "$a$b$c" }
def args = [1, 2, 3]
println f(*args)
println([0, *args, 4])
println([*: [a: 1], b: 2])
println(['x', null]*.toUpperCase())
//// casts
println '42' as int
println(('42' as Integer) + 1)
println 3.9 as int
println((int) 3.9)
println((String) 5)
println 5 as String
println '1.5' as BigDecimal
println '1.5' as Double
println([1, 2, 2] as Set)
println(['a', 'b'] as String[])
println(1..3 as List)
println((1..3) as int[])
println 'abc' as List
println(65 as char)
println('A' as char)
println((int) ('A' as char))
int i = 5 / 2
println i
long l = 3
println l.class
String s = "g${1}"
println s.class
double d = 3
println d
boolean b = 'x'
println b
Integer n = 7L
println n.class
BigDecimal bd = 3
println bd.class
float f = 1.5
println f
char c = 'x'
println c
List li = [1]
println li
int[] arr = [1, 2]
println arr.length
def j = 5
j = 'now text'
println j
//// bad casts
try { int x = 'abc' } catch (e) { println e.class.name; println e.message }
try { Integer x = 'abc' as Integer } catch (NumberFormatException e) { println e.message }
try { List l = 5 } catch (ClassCastException e) { println 'cce' }
try { 'x'.toInteger() } catch (e) { println e.message }
try { ''.toInteger() } catch (e) { println e.message }
//// instanceof
println 'x' instanceof String
println 1 instanceof Integer
println 1 instanceof Number
println 1L instanceof Integer
println([] instanceof List)
println([:] instanceof Map)
println "${1}" instanceof String
println "${1}" instanceof GString
println "${1}" instanceof CharSequence
println(null instanceof Object)
println ({} instanceof Closure)
println 1.5 instanceof BigDecimal
println([] instanceof Collection)
println((1..2) instanceof List)
println new Date() instanceof Date
println new Exception() instanceof Throwable
//// operators
println 5 & 3
println 5 | 3
println 5 ^ 3
println(~5)
println 1 << 4
println(-16 >> 2)
println(-16 >>> 28)
println true & false
println true ^ true
println(!true || true)
def a = 5
a += 2; println a
a -= 1; println a
a *= 3; println a
a /= 4; println a
a = 7; a %= 4; println a
a **= 2; println a
a <<= 2; println a
def s = 'x'
s += 1; println s
def l = []
l += 1; l += [2]; println l
def i = 0
println i++ + ++i
println i
println(i-- - --i)
println(-i)
println(+i)
def z = null
z ?: (z = 4)
println z
println 1 <=> 1.0
//// regex
println 'abc123' =~ /\d+/ ? 'found' : 'no'
println 'abc' ==~ /abc/
println 'abcd' ==~ /abc/
def m = 'john@x.org, mary@y.org' =~ /(\w+)@(\w+)\.org/
println m.size()
println m[0]
println m[0][1]
println m[1][2]
m.each { println it }
m.each { all, user, dom -> println "$user at $dom" }
def n = 'v1.22.333' =~ /v(\d+)\.(\d+)\.(\d+)/
println n.matches()
println n.group(1) + n.group(3)
println n.groupCount()
println 'a1b2'.replaceAll(/\d/, '#')
println 'a1b2'.replaceAll(/([a-z])(\d)/, '$2$1')
println 'a1b2'.replaceAll(/\d/) { (it as int) + 1 }
println 'aXbX'.replaceFirst('X', 'y')
println 'a.b.c'.split('\\.').length
println 'foo bar'.find(/b\w+/)
println 'a1b22'.findAll(/\d+/)
println(('abc' =~ 'x').find())
def p = ~/a.c/
println p.class.name
println 'abc'.matches('a.c')
println 'abc' in p
println 'FOO' ==~ /(?i)foo/
println 'foobar' =~ /foo(?=bar)/ ? 1 : 0
println 'aaa'.replaceAll('a*+', 'b')
println 'x-y_z'.replaceAll('[^a-zA-Z0-9]', '')
println 'path/to/file'.replaceAll('/', '-')
def (all, maj) = ('1.2' =~ /(\d)\.\d/)[0]
println maj
println 'Alpha'.replaceAll(/\p{Upper}/, 'u')
println 'tel 555'.replaceAll(/\D/, '')
//// exceptions
try { throw new Exception('boom') } catch (Exception e) { println e.message }
try { throw new RuntimeException('rt') } catch (IllegalStateException e) { println 'no' } catch (RuntimeException e) { println 'rt ' + e.getMessage() }
try { 1 / 0 } catch (ArithmeticException e) { println e.message }
try { 1 % 0 } catch (ArithmeticException e) { println e.message }
try { null.foo() } catch (NullPointerException e) { println e.message }
try { null.foo } catch (NullPointerException e) { println e.message }
try { 'x'.nope() } catch (MissingMethodException e) { println e.message.readLines()[0] }
try { 'x'.nope } catch (MissingPropertyException e) { println e.message.readLines()[0] }
try { nope } catch (MissingPropertyException e) { println e.property }
try { [1].get(5) } catch (IndexOutOfBoundsException e) { println e.message }
try { 'abc'.substring(5) } catch (StringIndexOutOfBoundsException e) { println e.message }
def f() { try { return 'try' } finally { println 'finally' } }
println f()
try { try { throw new Exception('a') } finally { println 'fin' } } catch (e) { println 'outer ' + e.message }
try { throw new IllegalArgumentException('x', new Exception('cause')) } catch (e) { println e.cause.message }
println new Exception('m')
println new Exception().message
try { throw new Error('err') } catch (Exception e) { println 'no' } catch (Throwable t) { println 'throwable ' + t }
try { assert 1 == 2 } catch (AssertionError e) { println 'assert' }
try { assert false : 'msg' } catch (AssertionError e) { println e.message }
try { throw new IOException('io') } catch (IllegalStateException | IOException e) { println e.class.simpleName }
def g() { try { throw new Exception('in') } catch (e) { return 'caught' } finally { println 'cleanup' } }
println g()
try { Integer.parseInt('z') } catch (NumberFormatException e) { println e.message }
try { Object o = 'x'; (Integer) o } catch (e) { println e.class.simpleName }
//// uncaught
println 'before'
throw new IllegalStateException('not caught')
//// uncaught missing
undefinedVariable + 1
//// scopes
x = 5
def y = 6
def f() { x + 1 }
println f()
def g() { try { y } catch (MissingPropertyException e) { 'not visible' } }
println g()
z = { x + y }
println z()
({ -> def inner = 1; println inner })()
if (true) { def q = 1 }
try { q } catch (MissingPropertyException e) { println 'q gone' }
//// field
import groovy.transform.Field
@Field def counter = 0
@Field String label = 'L'
@Field final List items = [1, 2]
def bump() { counter++; items << counter; label + counter }
println bump()
println bump()
println items
println counter
