//// return inside each
def f(l) { l.each { if (it == 2) return 'inner'; println it }; 'outer' }
println f([1, 2, 3])
//// default params see earlier ones
def f(a, b = a * 2, c = 3) { "$a $b $c" }
println f(1)
println f(1, 5)
println f(1, 5, 9)
//// finally with control
def f() { for (i in 1..5) { try { if (i == 2) continue; if (i == 4) break; println i } finally { println "f$i" } }; 'end' }
println f()
def g() { try { throw new Exception('x') } catch (e) { throw new RuntimeException('y') } finally { println 'fin' } }
try { g() } catch (RuntimeException e) { println e.message }
def h() { try { return 'a' } finally { return 'b' } }
println h()
//// gstring laziness
def x = 1
def eager = "${x}"
def lazy = "${-> x}"
x = 2
println eager
println lazy
def l = [1]
def g = "$l"
l << 2
println g
//// closures change outer variables
def n = 0
[1, 2, 3].each { n += it }
println n
def make = { def c = 0; [inc: { ++c }, now: { c }] }
def o = make()
o.inc()
o.inc()
println o.now()
//// named arguments and closure
def task(Map opts, String name, Closure body) { "${opts} $name ${body()}" }
println task('n', a: 1) { 'b' }
def task2(Map opts = [:], String name) { "$opts $name" }
println task2('x')
println task2('x', k: 1)
println task2(k: 2, 'y')
//// closure arguments
def twice(Closure c) { c(1) + c(2) }
println twice { it * 10 }
println twice({ it })
def last(a, Closure c) { c(a) }
println last(3) { x -> x + 1 }
def opt(Closure c = { 'default' }) { c() }
println opt()
println opt { 'given' }
//// overloads
def f(String s) { "S $s" }
def f(Integer i) { "I $i" }
def f(List l) { "L $l" }
def f(Map m) { "M $m" }
def f(Closure c) { 'C' }
def f(a, b) { "two $a $b" }
println f('a')
println f(1)
println f([1])
println f(a: 1)
println f { 1 }
println f(1, 2)
println f("g${1}")
try { f(1, 2, 3) } catch (MissingMethodException e) { println 'none' }
//// operator overloading
class V {
    int n
    V plus(V o) { new V(n: n + o.n) }
    V minus(V o) { new V(n: n - o.n) }
    V multiply(int k) { new V(n: n * k) }
    V negative() { new V(n: -n) }
    V next() { new V(n: n + 1) }
    def leftShift(x) { n += x; this }
    int compareTo(V o) { n <=> o.n }
    boolean asBoolean() { n != 0 }
    boolean isCase(x) { x == n }
    String toString() { "V$n" }
}
def a = new V(n: 1), b = new V(n: 2)
println a + b
println b - a
println a * 5
println(-a)
a++
println a
a << 5
println a
println new V(n: 0) ? 'yes' : 'no'
println 7 in a
//// missing methods and properties
class M {
    def methodMissing(String name, args) { "missing $name ${args.toList()}" }
    def propertyMissing(String name) { "prop $name" }
}
def m = new M()
println m.foo(1, 2)
println m.bar
//// text escapes
println 'a\tb\\c\'d"e'
println "a\tb\\c'd\"e\$f"
println 'unicode \u0041 \101'
println """a\
b"""
println '''it's "quoted"'''
println(/a\/b/)
println "${'nested ' + "${1 + 1}"}"
println "a" + 'b' + """c"""
//// comparisons
println 'a' < 'b'
println 'abc' > 'abd'
println 1 < 1.5
println 1L == 1.0
println('a' == 'a' && 1 != 2 || false)
println([1, 2] <=> [1, 3] ? 1 : 0)
println null == null
println 'a'.compareTo('b') < 0
println 2 in [1, 2] && !(3 in [1, 2])
println 'x' in ['x': 1]
//// numbers in text
println 1.0 + ''
println 10.0 / 4 + ''
println 1e2 + ''
println 1.50.toString()
println 100 * 1.1
println 0.1f + 0.2f
println 1 / 4
println 2 / 3
println 10 / 5
println 1.0 - 0.9
println 3.0 * 1.10
println 1.1 + 1
println 7 / 2 as int
println((7 / 2).toInteger())
println 5 % 2.5 == 0 ? 1 : 2
//// list sorting
def names = ['bob', 'Al', 'carl']
println names.sort { it.toLowerCase() }
println names.sort { a, b -> b.size() <=> a.size() }
println names.max { it.size() }
println([3, 1, 2].sort { -it })
println([[n: 2], [n: 1]].sort { it.n }*.n)
println(['1.10', '1.9', '1.2'].sort { a, b -> a.tokenize('.')[1].toInteger() <=> b.tokenize('.')[1].toInteger() })
println(['b', 'a'] as TreeSet)
println([b: 1, a: 2] as TreeMap)
//// map details
def m = [:]
m.'quoted key' = 1
m["a.b"] = 2
println m
println m.'quoted key'
m.list = []
m.list << 1
m.nested = [x: [:]]
m.nested.x.y = 5
println m
m.each { k, v -> println k }
println m.collect { it.key }.size()
println([a: 1, b: 2].collectEntries { k, v -> [(k.toUpperCase()): v + 1] })
println([a: null].containsKey('a'))
println([(1): 'int', 'one': 's'])
println([a: 1].equals([a: 1]))
def copy = [a: 1].clone()
copy.a = 2
println copy
println([a: [b: 1]]?.a?.b)
for (e in [x: 1, y: 2]) { println "$e.key=$e.value" }
println([a: 1, b: 2].findAll { k, v -> v > 1 }.keySet())
println([a: 1] + [a: 2])
println(['x', 'y'].collectEntries { [it, it.size()] })
println([1, 2].collectEntries { n -> ["k$n", n] })
//// while and do
def i = 3
while (i-- > 0) println i
def j = 0
for (;;) { if (++j > 2) break }
println j
//// statements of every kind
def r = []
if (1) r << 'a'
if (0) { r << 'b' } else if (1) { r << 'c' } else r << 'd'
r << (true ? 'e' : 'f')
r << 'g'
assert r.size() == 4
println r
//// nested data
def builds = [[name: 'a', ok: true, tags: ['x', 'y']], [name: 'b', ok: false, tags: []]]
println builds.findAll { it.ok }*.name
println builds.collectMany { it.tags }
println builds.groupBy { it.ok }.collectEntries { k, v -> [k, v*.name] }
println builds.name.join(',')
println builds.any { !it.ok }
println builds.find { it.name == 'b' }?.tags?.size()
println builds.sum { it.tags.size() }
def matrix = ['linux', 'mac'].collectMany { os -> ['8', '11'].collect { jdk -> "$os-$jdk" } }
println matrix
def branches = matrix.collectEntries { n -> ["b-${n}".toString(), { -> "ran $n" }] }
println branches.collect { k, v -> v() }
println branches['b-mac-8']()
//// version parsing
def v = 'release-1.12.3-rc1'
def m = v =~ /release-(\d+)\.(\d+)\.(\d+)(?:-(.*))?/
if (m) println "${m[0][1]} ${m[0][2]} ${m[0][3]} ${m[0][4]}"
if (m.matches()) println m.group(2).toInteger() + 1
def n = 'release-1.2.3' =~ /release-(\d+)\.(\d+)\.(\d+)(?:-(.*))?/
println n[0][4]
println 'feature/ABC-12-x'.replaceAll(/[^A-Za-z0-9]+/, '-').toLowerCase()
println 'refs/heads/main'.split('/').last()
println 'refs/heads/main'.tokenize('/')[-1]
println 'a=1;b=2'.split(';').collectEntries { it.split('=') as List }
println 'key: value'.split(/:\s*/)[1]
println '1.2.3'.tokenize('.')*.toInteger().sum()
def (major, minor) = '4.5.6'.tokenize('.').collect { it as int }
println major + minor
println '10.0.1' ==~ /\d+(\.\d+){2}/
println 'foo_bar_baz'.split('_').collect { it.capitalize() }.join('')
println 'fooBarBaz'.replaceAll(/([A-Z])/, '_$1').toLowerCase()
println 'x'.multiply(3).padLeft(5, '.')
println "line1\nline2\n".trim().readLines()*.toUpperCase()
println 'a/b/c'.lastIndexOf('/')
println 'a/b/c'.substring('a/b/c'.lastIndexOf('/') + 1)
println 'https://github.com/org/repo.git'.tokenize('/')[-1] - '.git'
//// curry and recursion
def fact
fact = { n -> n < 2 ? 1 : n * fact(n - 1) }
println fact(5)
def add = { a, b -> a + b }
println add.curry(1).call(2)
println add.rcurry(1)(5)
def memo = { n -> n * 2 }.memoize()
println memo(3) + memo(3)
def compose = { it + 1 } >> { it * 2 } >> { "r$it" }
println compose(1)
println([1, 2, 3].inject([]) { acc, x -> acc << x * 2; acc })
//// static imports and classes
import static java.lang.Math.max
import java.util.regex.Pattern
import groovy.json.JsonSlurperClassic as Slurper
println max(1, 2)
println Pattern.compile('a+').matcher('aaa').matches()
println new Slurper().parseText('[1]')[0]
println java.util.Collections.max([1, 2])
println Math.class.name
//// clone and identity
def a = [1, 2]
def b = a
b << 3
println a
def c = a.clone()
c << 4
println a.size() + c.size()
println a.is(b)
println a.is(c)
def d = a + []
d << 9
println a
def arr = [1, 2] as int[]
arr[0] = 5
println arr
println arr.toList() + 1
//// it and nested its
println([1, 2].collect { [it, it].collect { it * 2 } })
def outer = { inner -> inner(it: 5) }
println([1, 2].each { it }.collect { x -> [3].collect { x + it }[0] })
println([[1, 2], [3]].collect { it.size() })
println(['a': 1].collect { it.value })
//// closures with types
def f = { String s, int n = 2 -> s * n }
println f('ab')
println f('ab', 3)
try { f.call([]) } catch (MissingMethodException e) { println 'bad args' }
def g = { a, b = 5, Object... rest -> "$a $b $rest" }
println g(1)
//// safe navigation chains
def n = null
println n?.a?.b
println n?.a()?.b()
println n?.collect { 1 }
def m = [a: [b: null]]
println m?.a?.b?.c
println m.a?.b ?: 'dflt'
println (m.x ?: [])*.y
//// exceptions are objects
def e = new RuntimeException('m', new IOException('inner'))
println e.cause.message
println e.toString()
println e.class.simpleName
println e instanceof RuntimeException
println new IllegalArgumentException().message
def caught = null
try { throw e } catch (Exception x) { caught = x }
println caught.is(e)
try { throw new Exception('with cause', e) } catch (x) { println x.cause.message }
try { 'a'.toInteger() } catch (NumberFormatException x) { println x.message }
try { [a: 1].foo() } catch (x) { println x.class.simpleName }
try { new Date().nope() } catch (x) { println x.class.simpleName }
try { throw null } catch (NullPointerException x) { println 'npe' }
try { null + 1 } catch (NullPointerException x) { println x.message }
try { null[0] } catch (NullPointerException x) { println x.message }
try { null.x = 1 } catch (NullPointerException x) { println x.message }
try { Object o = [1]; String s = o[5].trim() } catch (NullPointerException x) { println x.message }
try { (1..3) << 4 } catch (UnsupportedOperationException x) { println 'uoe' }
try { 5() } catch (x) { println x.class.simpleName }
//// string builder loop
def sb = new StringBuilder()
for (i in 1..3) sb << i << ','
println sb
println "${sb}".length()
//// time
def d = new Date(1700000000000L)
println d.format("yyyy-MM-dd'T'HH:mm:ss.SSS", TimeZone.getTimeZone('UTC'))
println d.format('yyyyMMdd-HHmmss')
println d.format('EEE, d MMM yyyy')
println new java.text.SimpleDateFormat('yyyy').format(d)
println (d + 1).time - d.time
println d.time
println Date.parse('yyyy-MM-dd', '2020-02-03').format('dd.MM.yyyy')
