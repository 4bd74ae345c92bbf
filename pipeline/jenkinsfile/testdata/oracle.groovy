// Says of each source text whether Groovy's own parser takes it, and what tree it makes of it.
//
// usage: groovy oracle.groovy cases.json answers.json
//
// cases.json is an array of texts; answers.json becomes an array of {ok, error, tree}, one for each, in order. Only the phases
// up to CONVERSION run: nothing is resolved, nothing is executed. The tree is empty for scripts with classes. Groovy tries
// nested things again and again, so that some texts take it for ever: these get {late: true} after three seconds.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import groovy.transform.Field
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.Parameter
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.*
import org.codehaus.groovy.control.CompilationFailedException
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.Phases

String typeName(ClassNode t) {
    if (t.isArray()) return typeName(t.componentType) + '[]'
    t.name
}

String node(String head, Object... parts) {
    '(' + ([head] + (parts == null ? [] : parts as List).flatten().findAll { it != null }).join(' ') + ')'
}

String param(Parameter p) {
    def type = p.dynamicTyped ? 'def' : typeName(p.type)
    node('param', type, p.name, p.hasInitialExpression() ? tree(p.initialExpression) : null)
}

List arguments(Expression e) {
    if (e instanceof TupleExpression) return e.expressions.collect { tree(it) }
    [tree(e)]
}

String constant(Object v) {
    if (v instanceof String) return JsonOutput.toJson(v)
    if (v instanceof BigDecimal || v instanceof Float || v instanceof Double) return '#' + String.format(Locale.ROOT, '%.6e', v as double)
    '#' + v
}

String declaration(DeclarationExpression e) {
    def left = e.leftExpression
    def right = e.rightExpression instanceof EmptyExpression ? null : tree(e.rightExpression)
    if (left instanceof TupleExpression) {
        return node('def', node('vars', left.expressions.collect { v -> node(v.dynamicTyped ? 'def' : typeName(v.originType), v.name) }), right)
    }
    node('def', left.dynamicTyped ? 'def' : typeName(left.originType), left.name, right)
}

// index writes what stands between brackets: entries of a map are collected into one.
String index(Expression e) {
    def all = e instanceof ListExpression && !(e instanceof ClosureListExpression) ? e.expressions : [e]
    def entries = all.findAll { it instanceof MapEntryExpression || it instanceof SpreadMapExpression }
    if (!entries) return tree(e)
    def map = node('map', entries.collect {
        it instanceof SpreadMapExpression ? node('*:', tree(it.expression)) : it.keyExpression instanceof SpreadMapExpression ? node('*:', tree(it.valueExpression)) : node('entry', tree(it.keyExpression), tree(it.valueExpression))
    })
    def rest = all - entries
    rest ? node('list', [map] + rest.collect { tree(it) }) : map
}

String tree(Expression e) {
    switch (e) {
        case null: return 'nil'
        case EmptyExpression: return 'nil'
        case BooleanExpression: return e instanceof NotExpression ? node('!', tree(e.expression)) : tree(e.expression)
        case ConstantExpression: return constant(e.value)
        case VariableExpression: return e.name
        case ClassExpression: return 'type:' + typeName(e.type)
        case AttributeExpression: return node('.@' + (e.safe && !e.spreadSafe ? '?' : '') + (e.spreadSafe ? '*' : ''), tree(e.objectExpression), tree(e.property))
        case PropertyExpression: return node('.' + (e.safe && !e.spreadSafe ? '?' : '') + (e.spreadSafe ? '*' : ''), tree(e.objectExpression), tree(e.property))
        case MethodPointerExpression: return node('.&', tree(e.expression), tree(e.methodName))
        case MethodCallExpression:
            def implicit = e.implicitThis && e.objectExpression instanceof VariableExpression && e.objectExpression.name == 'this'
            def recv = implicit ? '_' : tree(e.objectExpression)
            return node('call' + (e.safe ? '?' : '') + (e.spreadSafe ? '*' : ''), recv, tree(e.method), arguments(e.arguments))
        case ConstructorCallExpression:
            return node('new', typeName(e.type), arguments(e.arguments))
        case ArrayExpression:
            def type = e.elementType
            while (type.isArray()) type = type.componentType
            return node('newarray', typeName(type), e.sizeExpression.collect { tree(it) })
        case DeclarationExpression: return declaration(e)
        case BinaryExpression:
            if (e.leftExpression instanceof TupleExpression) {
                return node('=', node('vars', e.leftExpression.expressions.collect { it.name }), tree(e.rightExpression))
            }
            return node(e.operation.text, tree(e.leftExpression), e.operation.text == '[' ? index(e.rightExpression) : tree(e.rightExpression))
        case RangeExpression: return node(e.inclusive ? '..' : '..<', tree(e.from), tree(e.to))
        case CastExpression: return node(e.coerce ? 'as' : 'cast', tree(e.expression), typeName(e.type))
        case ElvisOperatorExpression: return node('?:', tree(e.trueExpression), tree(e.falseExpression))
        case TernaryExpression: return node('?', tree(e.booleanExpression), tree(e.trueExpression), tree(e.falseExpression))
        case UnaryMinusExpression: return node('-u', tree(e.expression))
        case UnaryPlusExpression: return node('+u', tree(e.expression))
        case BitwiseNegationExpression: return node('~', tree(e.expression))
        case PrefixExpression: return node(e.operation.text + 'u', tree(e.expression))
        case PostfixExpression: return node('u' + e.operation.text, tree(e.expression))
        case GStringExpression: return node('gstring', e.strings.withIndex().collect { s, i -> [tree(s), i < e.values.size() ? tree(e.values[i]) : null] })
        case ClosureExpression:
            def params = e.parameters == null ? 'none' : e.parameters.length == 0 ? 'it' : node('params', e.parameters.collect { param(it) })
            return node('closure', params, statements(e.code))
        case SpreadMapExpression: return 'spread'
        case SpreadExpression: return node('*', tree(e.expression))
        case ClosureListExpression: return node('parts', e.expressions.collect { tree(it) })
        case ListExpression: return node('list', e.expressions.collect { tree(it) })
        case MapEntryExpression: return node('map', node('entry', tree(e.keyExpression), tree(e.valueExpression)))
        case MapExpression: return node('map', e.mapEntryExpressions.collect {
            it.keyExpression instanceof SpreadMapExpression ? node('*:', tree(it.valueExpression)) : node('entry', tree(it.keyExpression), tree(it.valueExpression))
        })
        case TupleExpression: return node('tuple', e.expressions.collect { tree(it) })
    }
    throw new IllegalStateException('expression ' + e.class.name)
}

List statements(Statement s) {
    s instanceof BlockStatement ? s.statements.collect { tree(it) }.flatten() : [tree(s)]
}

def tree(Statement s) {
    switch (s) {
        case null: return 'nil'
        case EmptyStatement: return 'nil'
        case BlockStatement: return node('block', statements(s))
        case ExpressionStatement:
            def e = s.expression
            return e instanceof ClosureListExpression ? e.expressions.collect { tree(it) } : tree(e)
        case IfStatement: return node('if', tree(s.booleanExpression), tree(s.ifBlock), tree(s.elseBlock))
        case WhileStatement: return node('while', tree(s.booleanExpression), tree(s.loopBlock))
        case ForStatement:
            def head = s.collectionExpression instanceof ClosureListExpression ? tree(s.collectionExpression) : node('in', param(s.variable), tree(s.collectionExpression))
            return node('for', head, tree(s.loopBlock))
        case ReturnStatement: return node('return', s.expression instanceof ConstantExpression && s.expression.value == null ? null : tree(s.expression))
        case ThrowStatement: return node('throw', tree(s.expression))
        case BreakStatement: return node('break', s.label)
        case ContinueStatement: return node('continue', s.label)
        case AssertStatement: return node('assert', tree(s.booleanExpression), s.messageExpression instanceof ConstantExpression && s.messageExpression.value == null ? null : tree(s.messageExpression))
        case SynchronizedStatement: return node('synchronized', tree(s.expression), tree(s.code))
        case TryCatchStatement:
            return node('try', tree(s.tryStatement), s.catchStatements.collect { c -> node('catch', c.exceptionType.name == 'java.lang.Object' ? 'def' : typeName(c.exceptionType), c.variable.name, tree(c.code)) },
                    s.finallyStatement instanceof EmptyStatement ? null : node('finally', tree(s.finallyStatement.statements[0])))
        case SwitchStatement:
            return node('switch', tree(s.expression), s.caseStatements.collect { c -> node('case', tree(c.expression), statements(c.code)) },
                    s.defaultStatement instanceof EmptyStatement ? null : node('default', statements(s.defaultStatement)))
    }
    throw new IllegalStateException('statement ' + s.class.name)
}

def answer(String text) {
    def unit = new CompilationUnit()
    def source = unit.addSource('WorkflowScript', text)
    try {
        unit.compile(Phases.CONVERSION)
    } catch (CompilationFailedException e) {
        return [ok: false, error: e.message, tree: '']
    } catch (Throwable e) {
        return [ok: false, error: 'crash: ' + e, tree: '']
    }
    def module = source.AST
    if (module.classes.size() > 1) return [ok: true, error: '', tree: '']
    try {
        def methods = module.methods.collect { m ->
            node('method', m.dynamicReturnType ? 'def' : typeName(m.returnType), JsonOutput.toJson(m.name), node('params', m.parameters.collect { param(it) }), node('block', statements(m.code)))
        }
        return [ok: true, error: '', tree: (methods + statements(module.statementBlock)).join('\n')]
    } catch (Exception e) {
        return [ok: true, error: "no tree for ${text}: ${e}".toString(), tree: '']
    }
}

// limited answers within three seconds, or gives the thread up.
def limited(String text) {
    def result = [ok: false, error: 'late', tree: '', late: true]
    def thread = new Thread(null, { result = answer(text) }, 'case', 16 << 20)
    thread.daemon = true
    thread.start()
    thread.join(3000)
    if (thread.alive) thread.stop()
    result
}

def cases = new JsonSlurper().parse(new File(args[0]), 'UTF-8')
new File(args[1]).write(JsonOutput.toJson(cases.collect { limited(it) }), 'UTF-8')
System.exit(0)
