import groovy.json.JsonOutput
import groovy.json.JsonSlurperClassic
import groovy.transform.Field
import java.util.regex.Pattern

@Field final Map<String, List<Integer>> TABLE = [a: [1, 2, 3], 'b-c': [], (env.KEY ?: 'd'): [4]]
@Field def cache = [:]

class Target implements Serializable {
    private static final long serialVersionUID = 1L
    String name
    int level = 0
    List<String> deps = []

    Target(String name, int level = 1) {
        this.name = name
        this.level = level
    }

    boolean isDeep() { level > 3 }

    @Override
    String toString() { "${name}@$level" }

    static Target of(Map args) { new Target(args.name as String, (args.level ?: 1) as int) }
}

enum Colour {
    RED('r'), GREEN('g') { @Override String code() { 'G' } }, BLUE('b');

    final String c
    Colour(String c) { this.c = c }
    String code() { c }
}

@NonCPS
def parse(String text) {
    def m = (text =~ /(?m)^(\w+)\s*=\s*(.*)$/)
    def out = [:]
    while (m.find()) { out[m.group(1)] = m.group(2) }
    return out
}

def <T> T first(Collection<? extends T> xs, T other = null) { xs ? xs.iterator().next() : other }

int fib(int n) { n < 2 ? n : fib(n - 1) + fib(n - 2) }

def total = 0
outer:
for (x in 1..10) {
    for (int j = 0; j < x; j++) {
        if (j % 2 == 0) continue
        if (j > 5) break outer
        total += x ** 2 / (j + 1) - ~j & 0xff | 1 << 3 ^ (x >>> 1)
    }
}
switch (total) {
    case 0: echo 'none'; break
    case 1..5:
    case [6, 7]:
        echo 'few'
        break
    case Integer:
        echo 'int'
    default:
        echo "many: ${total}"
}
def (name, version) = 'app:1.0'.tokenize(':')
def squares = (0..<5).collect { it * it }.findAll { int n -> n > 1 }
def lengths = ['a', 'bb']*.length()
def up = 'x'.&toUpperCase
def safe = env?.FOO?.trim() ?: 'none'
def spread = [0, *squares].size() ?: max(*squares)

def merged = [*: TABLE, z: [9]]
def text = '''\
    first
      second'''.stripIndent()
def dollar = $/C:\dir\${name}$$HOME/$
def closure = { String a, b = 2, ... rest -> "$a${b}" + rest }
def composed = closure << { it.toString() }
def longs = [1L, 0x7fL, 0b101, 017, 1_000_000, 3.14G, 2.5f, 1e-3, 12345678901234567890]
def json = JsonOutput.toJson([when: new Date().format("yyyy-MM-dd'T'HH:mm"), env: env.getEnvironment()])
def nested = "a ${squares.collect { "<${it}>" }.join(', ')} z"
assert total >= 0 : "negative: $total"
assert fib(10) == 55, 'fib'
synchronized (cache) { cache.x = json }
def arr = new int[3]
int[][] grid = new int[2][3]
String[] words = ['a', 'b'] as String[]
arr[0] += grid[1][2]
words[-1..0].eachWithIndex { w, i -> println "$i: $w" }
do_it: {
    echo 'labelled'
}
if (!(name instanceof String) || version in ['1.0', '2.0'] && name ==~ /[a-z]+/) {
    echo name
} else if (name <=> version) {
    echo version
} else {
    try {
        throw new IllegalStateException("bad: ${name}", null)
    } catch (IllegalStateException | IllegalArgumentException e) {
        echo e.message
    } catch (ignored) {
    } finally {
        cache.clear()
    }
}
def runner = new Runnable() {
    void run() { println 'run' }
}
runner.run()
println this.class.name
