//// strings
def s = '  Hello World  '
println '[' + s.trim() + ']'
println s.trim().toUpperCase()
println s.trim().toLowerCase()
println 'abc'.capitalize()
println 'abc'.reverse()
println 'abc'.contains('b')
println 'abc'.startsWith('a')
println 'abc'.endsWith('c')
println 'abcabc'.indexOf('c')
println 'abcabc'.lastIndexOf('c')
println 'abcabc'.indexOf('c', 3)
println 'abc'.substring(1)
println 'abcdef'.substring(1, 3)
println 'a,b,,c,,'.split(',').size()
println 'a,b,,c,,'.split(',').toList()
println 'a,b,,c,,'.tokenize(',')
println 'a b  c'.tokenize()
println 'a1b'.split('1', 2).toList()
println 'abc'.split('').toList()
println 'x'.padLeft(3) + '|'
println 'x'.padRight(3, '-') + '|'
println 'x'.center(5, '*')
println 'abc'.take(2) + 'abc'.drop(2)
println 'a.b'.replace('.', '-')
println 'abc'.length() + 'abc'.size()
println ''.isEmpty()
println 'abc'.charAt(1)
println 'a-b_c'.tr('-_', '+=')
println 'hello'.tr('a-y', 'b-z')
println 'abc'.equalsIgnoreCase('ABC')
println 'abc'.compareTo('abd')
println 'aXbXc'.count('X')
println 'abc'.toList()
println 'a\nb\r\nc'.readLines()
println '  a\n    b\n'.stripIndent() + '|'
println '''|one
  |two'''.stripMargin()
'x\ny'.eachLine { println "line $it" }
'x\ny'.eachLine { l, n -> println "$n $l" }
println(['12'.isInteger(), 'x'.isInteger(), '1.5'.isNumber(), '1.5'.isInteger()].join(' '))
println '12'.toInteger() + 1
println '12'.toLong().class
println '1.5'.toBigDecimal() + 1
println 'true'.toBoolean()
println 'yes'.toBoolean()
println 'abc'.each { it }
println 'abc'.collect { it * 2 }
println 'abc'.any { it == 'b' }
println 'banana'.toSet().size()
println 'abc'.hashCode()
println 'a'.next()
println 'abc'.bytes.length
println 'abc'.bytes.encodeBase64().toString()
println new String('YWJj'.decodeBase64())
println 'abc'.plus('d')
println 'ab'.multiply(2)
//// string format
println String.format('%d items at %.2f', 3, 1.005)
println String.format('%5d|%-5s|%05d', 42, 'ab', 7)
println String.format('%x %X %o', 255, 255, 8)
println String.format('%,d', 1234567)
println String.format('%s %s', 'a', [1, 2])
println String.format('%2$s %1$s', 'a', 'b')
println String.format('%b %c %%', true, 'x' as char)
println String.format('%+d', 5)
println String.format('%e', 12345.678)
println String.format('%10.3f|', 3.14159)
println sprintf('%s-%s', 'x', 'y')
println String.join('-', ['a', 'b'])
println String.valueOf(5)
println 'Hello %s'.replace('%s', 'x')
//// list methods
def l = [3, 1, 2]
println l.sort()
println l
println l.sort(false) { -it }
println l.sort { a, b -> b <=> a }
println l.reverse()
println l.max() + l.min() + l.sum()
println l.collect { it * 2 }
println l.find { it > 1 }
println l.findAll { it > 1 }
println l.any { it > 2 } && l.every { it > 0 }
println l.join(', ')
println l.inject(0) { a, b -> a + b }
println l.inject { a, b -> a * b }
println l.first() + l.last()
println l.head() + ' ' + l.tail() + ' ' + l.init()
println l.take(2) + l.drop(2)
println l.indexOf(2)
println l.contains(1)
println l.isEmpty()
println l.add(9)
println l
println l.remove(0)
println l
println l.pop()
l.push(7)
println l.size()
l.addAll([8, 8])
println l.unique()
println([1, [2, [3]]].flatten())
println([1, 2, 3, 4].groupBy { it % 2 })
println([1, 2, 3, 4].countBy { it % 2 })
println([1, 2, 3, 4, 5].collate(2))
println(['a', 'b'].withIndex())
println(['a', 'b'].indexed())
println(['a', 'b'].collectEntries { [it, it * 2] })
println(['a', 'b'].collectEntries { [(it): 1] })
//// list methods 2
['a', 'b'].eachWithIndex { x, i -> println "$i$x" }
println([1, 2, 3].split { it > 1 })
println([[1, 2], [3, 4]].transpose())
println([[1, 2], ['a', 'b']].combinations())
println([1, 2, 3].findIndexOf { it == 2 })
println([1, 2, 3].sum { it * 10 })
println(['aaa', 'b'].max { it.size() })
println(['aaa', 'b'].min { it.size() })
println([1, 2, 2, 3].count(2))
println([1, 2, 2, 3].count { it > 1 })
println([1, 2] + [3] - [1])
println([1, 2].intersect([2, 3]))
println([1, 2].disjoint([3]))
println([3, 1].toSorted())
println([1, 2, 3].takeWhile { it < 3 })
println([1, 2, 3].dropWhile { it < 3 })
println([null, 1].findAll())
println([1, 2, 3].subList(1, 3))
println(['x', 'y'].toString())
println([1, 2, 3, 4].collectMany { [it, it] })
println([1, 2, 3].findResult { it > 1 ? "r$it" : null })
println([1, 'a', 2].grep(Number))
println(['ab', 'cd'].grep(~/a.*/))
println([1, 2, 3].permutations().size())
println(['b', 'a', 'C'].sort())
println([b: 1, a: 2].sort())
println([b: 1, a: 2].sort { it.value })
println([b: 1, a: 2].sort { x, y -> y.value <=> x.value })
println([1, 2, 3].removeAll { it > 2 })
def q = [1, 2, 3, 4]
q.removeAll { it % 2 == 0 }
println q
q.retainAll([1])
println q
println([1, 2, 3].asImmutable())
try { [1].asImmutable() << 2 } catch (UnsupportedOperationException e) { println 'uoe' }
println((1..3).inject { a, b -> a + b })
println([3, 1, 2].sort().reverse())
println([1, 2, 3].any())
println([0, false].every())
println([1, 2, 3].iterator().next())
println([1, 2, 3].toArray().length)
println((['a'] as String[]) + ['b'])
println([1, 2, 3].last())
try { [].first() } catch (NoSuchElementException e) { println 'nse' }
println([].sum())
println([].max())
//// map methods
def m = [b: 2, a: 1]
m.each { k, v -> println "$k $v" }
m.each { println it.key + it.value }
m.each { e -> println e }
m.eachWithIndex { k, v, i -> println "$i $k $v" }
m.eachWithIndex { e, i -> println "$i ${e.key}" }
println m.collect { "$it.key:$it.value" }
println m.findAll { it.value > 1 }
println m.findAll { k, v -> v > 1 }
println m.find { it.key == 'a' }
println m.any { k, v -> v == 2 }
println m.every { it.value > 0 }
println m.collectEntries { k, v -> [v, k] }
println m.groupBy { it.value > 1 }
println m.inject(0) { acc, k, v -> acc + v }
println m.inject(0) { acc, e -> acc + e.value }
println m.max { it.value }
println m.min { it.value }.key
println m.sort { it.key }
println m.subMap(['a'])
println m.isEmpty()
println m.containsValue(2)
m.putAll([c: 3])
m << [d: 4]
println m
println m.entrySet().first().key
println m.keySet().toList().sort()
println m.values().sum()
m.remove('a')
println m.size()
m.clear()
println m
println m.withDefault { it * 2 }.x
def d = [:].withDefault { [] }
d.k << 1
d.k << 2
println d
println([a: 1] == [a: 1])
println([a: 1, b: 2] - [a: 1])
println([a: 1].plus(b: 2))
println([a: [1, 2]].a[1])
println([a: 1].get('b'))
println([a: { it + 1 }].a(1))
println([a: 1].toString())
println([1: 'x'][1])
println([a: 1, b: 2].count { k, v -> v > 1 })
println([a: 1, b: 2]*.value)
println([a: 1].keySet().class.simpleName != null)
def e = [x: 1].entrySet().iterator().next()
println e.key + e.value
println([a: 1].isEmpty())
println([a: 3, b: 1].sort { a, b -> a.value <=> b.value }*.key)
//// sets
def s = ['a', 'b', 'a'] as Set
println s
println s.size()
s << 'c'
s.add('a')
println s
println s.contains('b')
println s + 'z'
println s - 'a'
println s.collect { it * 2 }
println([1, 2, 2].toSet())
println((['x'] as Set) == (['x'] as Set))
println([3, 1, 2].toSet().sort())
println new HashSet([1]).add(1)
//// numbers
3.times { println it }
1.upto(3) { println it }
3.downto(1) { println it }
1.step(6, 2) { println it }
println(-5.abs())
println 3.14159.setScale(2, BigDecimal.ROUND_HALF_UP)
println Math.max(1, 2)
println Math.abs(-1.5)
println Math.round(2.5)
println Math.floor(2.7)
println Math.ceil(2.1)
println Math.pow(2, 3)
println Integer.parseInt('12')
println Integer.valueOf('5')
println Integer.toHexString(255)
println Integer.toString(5)
println Long.parseLong('123')
println Double.parseDouble('1.5')
println Boolean.parseBoolean('TRUE')
println 10.toString()
println 10.toBigDecimal()
println 7.toDouble()
println 5.compareTo(3)
println 255.toString().padLeft(5, '0')
println 3.0.intValue()
println 1000000 * 3
println 1_000_000
println 0x1F
println 0b101
println 017
println 5.equals(5)
println 4.intdiv(3)
println 5.mod(3)
println 2.power(3)
println(-7.intdiv(2))
println 7.0.toString()
println 1.0.toInteger()
println Integer.MAX_VALUE + 1L
println 'x' * 0
//// builder
def sb = new StringBuilder()
sb.append('a').append(1)
sb << 'b'
println sb
println sb.toString()
println sb.length()
println sb.reverse()
println new StringBuilder('x').insert(0, 'y')
//// json
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
println JsonOutput.toJson([a: 1, b: [1, 2.5, null, true], c: "x\"y\n"])
println JsonOutput.prettyPrint('{"a":1,"b":[1,2],"c":{}}')
def j = new JsonSlurper().parseText('{"name": "x", "list": [1, 2.5, "s", null, true], "o": {"k": "v"}}')
println j.name
println j.list
println j.o.k
println j.list[1].class
println j.list.size()
println JsonOutput.toJson('text')
println JsonOutput.toJson([1, 'a'])
println JsonOutput.toJson([d: 'ü'])
//// statics
println URLEncoder.encode('a b&c=d/é', 'UTF-8')
println URLDecoder.decode('a+b%26', 'UTF-8')
println Collections.emptyList()
println Arrays.asList(1, 2)
println UUID.fromString('123e4567-e89b-12d3-a456-426614174000')
println Collections.max([1, 3, 2])
println Math.PI
println new Date(0).format('yyyy-MM-dd HH:mm:ss')
println new Date(86400000L).time
println new Date(0) < new Date(1)
println java.util.UUID.nameUUIDFromBytes('a'.bytes)
println Character.isDigit('5' as char)
println Integer.class
println String
println 'x'.class.name
println 'x'.class.simpleName
println Objects.equals(1, 1)
println Base64.encoder.encodeToString('abc'.bytes)
println new String(Base64.decoder.decode('YWJj'))
println java.util.regex.Pattern.quote('a.b')
println new ArrayList([1])
println new HashMap([a: 1])
println new LinkedHashMap()
println new Random(1).nextInt(1)
println new Object() != null
println TimeZone.getTimeZone('UTC') != null
//// objects
println 1.toString() + 'x'.toString()
println([1, 2].inspect())
println 'a'.inspect()
println([a: 'b'].inspect())
println 'x'.is('x')
println 5.getClass()
println([1, 2, 3].each { }.size())
println 'abc'.getAt(1)
def l = [1]
l.putAt(0, 5)
println l
println 'a'.asBoolean()
println 'x'.compareTo('y')
println 5.with { it + 1 }
println(['a', 'b'].join())
println "${[1, 'a', null]}"
println "${[a: 'x', b: [c: null]]}"
println "${new Exception('e')}"
println 'x'.equals("${'x'}")
println "${'x'}".equals('x')
