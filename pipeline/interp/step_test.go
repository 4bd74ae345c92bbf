package interp

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

func TestMain(m *testing.M) {
	// The pattern engine keeps a clock for its timeouts, for a second after the last match.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2.runClock"))
}

// testSteps are steps of the shapes that real ones have.
func testSteps() map[string]step.Step {
	steps := map[string]step.Step{}
	add := func(spec step.Spec, run func(t step.Thread, c *step.Call) (value.Value, error)) {
		steps[spec.Name] = funcStep{spec, run}
	}
	str := func(name string) step.Param { return step.Param{Name: name, Type: step.Str} }
	add(step.Spec{Name: "echo", Params: []step.Param{{Name: "message", Type: step.Str, Required: true}}, Sole: "message"}, func(t step.Thread, c *step.Call) (value.Value, error) {
		t.Print(c.String("message"))
		return nil, nil
	})
	add(step.Spec{Name: "error", Params: []step.Param{str("message")}, Sole: "message"}, func(t step.Thread, c *step.Call) (value.Value, error) {
		return nil, value.Abort(c.String("message"))
	})
	add(step.Spec{Name: "sh", Params: []step.Param{{Name: "script", Type: step.Str, Required: true}, {Name: "returnStdout", Type: step.Boolean}, str("label")}, Sole: "script"}, func(t step.Thread, c *step.Call) (value.Value, error) {
		raw, err := t.Do(step.Effect{Name: "sh", Args: c.Args, Run: func(ctx context.Context, a step.Address) (any, error) {
			return "out of " + c.String("script"), nil
		}})
		if err != nil || !c.Bool("returnStdout") {
			return nil, err
		}
		var s string
		return s, json.Unmarshal(raw, &s)
	})
	add(step.Spec{Name: "timeout", Params: []step.Param{{Name: "time", Type: step.Int, Required: true}, {Name: "unit", Type: step.Str, Enum: []string{"SECONDS", "MINUTES"}, Default: "MINUTES"}}, Sole: "time", Block: true}, func(t step.Thread, c *step.Call) (value.Value, error) {
		return t.Block("", func() (value.Value, error) { return t.Call(c.Body) })
	})
	add(step.Spec{Name: "withEnv", Params: []step.Param{{Name: "overrides", Type: step.ListOf, Required: true}}, Sole: "overrides", Block: true}, func(t step.Thread, c *step.Call) (value.Value, error) {
		return t.With(func(s *step.Scope) {
			for _, e := range c.Args["overrides"].(*value.List).Elems {
				s.Env = append(s.Env, e.(string))
			}
		}, func() (value.Value, error) {
			return t.Block("", func() (value.Value, error) { return t.Call(c.Body) })
		})
	})
	add(step.Spec{Name: "parallel", Params: []step.Param{{Name: "failFast", Type: step.Boolean}}, Rest: "branches"}, func(t step.Thread, c *step.Call) (value.Value, error) {
		var bs []step.Branch
		fast := c.Bool("failFast")
		for name, body := range c.Args["branches"].(*value.Map).All() {
			body := body.(value.Callable)
			bs = append(bs, step.Branch{Name: value.String(name), Body: func(t step.Thread) (value.Value, error) { return t.Call(body) }})
		}
		outs, err := t.Parallel(bs, fast)
		if err != nil {
			return nil, err
		}
		var first error
		m := value.NewMap()
		for i, o := range outs {
			m.Put(bs[i].Name, o.Value)
			if o.Err != nil && first == nil {
				first = o.Err
			}
		}
		return m, first
	})
	add(step.Spec{Name: "dump", Params: []step.Param{{Name: "arg", Type: step.Any}, {Name: "n", Type: step.Int}, {Name: "b", Type: step.Boolean}, {Name: "l", Type: step.ListOf}, {Name: "m", Type: step.MapOf}}, Sole: "arg"}, func(t step.Thread, c *step.Call) (value.Value, error) {
		data, err := json.Marshal(c.Args)
		t.Print(string(data))
		return nil, err
	})
	add(step.Spec{Name: "onNode", NeedsNode: true}, func(t step.Thread, c *step.Call) (value.Value, error) { return nil, nil })
	return steps
}

func withSteps(c *Config) { c.Steps = testSteps() }

func TestStepForms(t *testing.T) {
	for name, c := range map[string]struct{ src, want, fails string }{
		"command":             {src: `echo 'x'`, want: "[Pipeline] echo\nx\n"},
		"parentheses":         {src: `echo('x')`, want: "[Pipeline] echo\nx\n"},
		"named":               {src: `echo message: 'x'`, want: "[Pipeline] echo\nx\n"},
		"map":                 {src: `echo([message: 'x'])`, want: "[Pipeline] echo\nx\n"},
		"gstring":             {src: `def n = 2; echo "x${n}"`, want: "[Pipeline] echo\nx2\n"},
		"number to string":    {src: `echo 5`, want: "[Pipeline] echo\n5\n"},
		"println is echo":     {src: `println 'x'`, want: "[Pipeline] echo\nx\n"},
		"steps.":              {src: `def steps = this; steps.echo 'x'`, want: "[Pipeline] echo\nx\n"},
		"this.":               {src: `this.echo('x')`, want: "[Pipeline] echo\nx\n"},
		"string to int":       {src: `dump n: '5', b: 'true', l: 'one'`, want: "[Pipeline] dump\n" + `{"b":true,"l":["one"],"n":5}` + "\n"},
		"nested":              {src: `dump m: [a: "${1}", b: [1, 2L]]`, want: "[Pipeline] dump\n" + `{"m":{"a":"1","b":[1,2]}}` + "\n"},
		"a map is the arg":    {src: `dump([x: 1])`, want: "[Pipeline] dump\n" + `{"arg":{"x":1}}` + "\n"},
		"$class":              {src: `dump([$class: 'X', y: 1])`, want: "[Pipeline] dump\n" + `{"arg":{"$class":"X","y":1}}` + "\n"},
		"symbol":              {src: `dump(logRotator('5'))`, want: "[Pipeline] dump\n" + `{"arg":{"$class":"logRotator","numToKeepStr":"5"}}` + "\n"},
		"block":               {src: `timeout(5) { echo 'x' }`, want: "[Pipeline] timeout\n[Pipeline] {\n[Pipeline] echo\nx\n[Pipeline] }\n[Pipeline] // timeout\n"},
		"block named":         {src: `timeout(time: 5, unit: 'SECONDS') { }`, want: "[Pipeline] timeout\n[Pipeline] {\n[Pipeline] }\n[Pipeline] // timeout\n"},
		"block value":         {src: `def v = timeout(1) { 7 }; echo "$v"`, want: "[Pipeline] timeout\n[Pipeline] {\n[Pipeline] }\n[Pipeline] // timeout\n[Pipeline] echo\n7\n"},
		"closure variable":    {src: `def body = { echo 'x' }; timeout 5, body`, want: "[Pipeline] timeout\n[Pipeline] {\n[Pipeline] echo\nx\n[Pipeline] }\n[Pipeline] // timeout\n"},
		"script method first": {src: `def echo(x) { dump n: 1 }; echo 'x'`, want: "[Pipeline] dump\n" + `{"n":1}` + "\n"},
		"binding closure":     {src: `say = { echo it }; say 'x'`, want: "[Pipeline] echo\nx\n"},
		"returned":            {src: `def o = sh(script: 'a', returnStdout: true).trim(); echo o`, want: "[Pipeline] sh\n[Pipeline] echo\nout of a\n"},
		"caught":              {src: `try { error 'm' } catch (hudson.AbortException e) { echo "got $e.message" }`, want: "[Pipeline] error\n[Pipeline] echo\ngot m\n"},
		"unknown":             {src: `ecko 'x'`, fails: "No such DSL method 'ecko' found among steps [dump, echo, error, onNode, parallel, sh, timeout, withEnv] or globals []; did you mean 'echo'?"},
		"unknown parameter":   {src: `sh scrpt: 'x'`, fails: "Unknown parameter 'scrpt' of step 'sh'; its parameters are [script, returnStdout, label]; did you mean 'script'?"},
		"missing":             {src: `sh label: 'x'`, fails: `Missing required parameter: "script" of step 'sh'`},
		"enum":                {src: `timeout(time: 1, unit: 'DAYS') {}`, fails: `"DAYS" is none of [SECONDS, MINUTES]`},
		"no body":             {src: `timeout(1)`, fails: "timeout step must be called with a body"},
		"bad int":             {src: `timeout('x') {}`, fails: "Parameter 'time' of step 'timeout' expects an int but got x (java.lang.String)"},
		"too many":            {src: `sh 'a', 'b'`, fails: "Expected named arguments but got ['a', 'b']"},
		"needs a node":        {src: `onNode()`, fails: "Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the step with a step that provides this, such as: node"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, c.src, func(cf *Config) {
				withSteps(cf)
				cf.Symbols = map[string]string{"logRotator": "numToKeepStr"}
			})
			switch {
			case c.fails == "" && err != nil:
				t.Fatal(err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Fatalf("error %v, want %q", err, c.fails)
			case c.fails == "" && out != c.want:
				t.Errorf("console:\n%s\nwant:\n%s", out, c.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"base":            {`echo env.JOB_NAME + JOB_NAME`, "demodemo"},
		"unset is null":   {`echo "${env.NOPE}"`, "null"},
		"set":             {`env.X = 5; echo X + env.X`, "55"},
		"set by index":    {`env['Y'] = 'a'; echo env.Y`, "a"},
		"withEnv shadows": {`env.X = 'g'; withEnv(['X=l']) { echo env.X; env.X = 'h'; echo X }; echo X`, "l l h"},
		"path":            {`withEnv(['PATH+A=/a', 'PATH+B=/b']) { echo PATH }`, "/b:/a:/bin"},
		"local first":     {`def JOB_NAME = 'mine'; echo JOB_NAME`, "mine"},
		"binding first":   {`JOB_NAME = 'mine'; echo JOB_NAME; echo env.JOB_NAME`, "mine demo"},
		"params":          {`echo "${P}${params.P}"`, "vv"},
		"missing bare":    {`try { NOPE } catch (MissingPropertyException e) { echo e.message }`, "No such property: NOPE for class: groovy.lang.Binding"},
		"removed":         {`env.X = 'a'; env.X = null; echo "${env.X}"`, "null"},
		"method of env":   {`echo env.getProperty('JOB_NAME')`, "demo"},
		"safe of env":     {`echo env.NOPE?.trim() ?: 'none'`, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, c.src, func(cf *Config) {
				withSteps(cf)
				cf.Globals = map[string]value.Value{"params": value.Pairs("P", "v")}
			})
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for l := range strings.Lines(out) {
				if !strings.HasPrefix(l, "[Pipeline]") {
					lines = append(lines, strings.TrimSpace(l))
				}
			}
			if got := strings.Join(lines, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestForm drives the script the way the declarative driver does.
func TestForm(t *testing.T) {
	src := `
def outside = 'local'
String helper(x) { "helped $x" }
pipeline { environment { A = "${B}-a"; B = 'b' }; steps { echo "$A $outside ${helper(1)} ${env.B}" } }
echo 'after'
`
	pipeline := func(t *Thread, call *jenkinsfile.Call) (value.Value, error) {
		sections := call.Args[0].(*jenkinsfile.Closure).Body.Stmts
		body := func(i int) *jenkinsfile.Block {
			return sections[i].(*jenkinsfile.ExprStmt).X.(*jenkinsfile.Call).Args[0].(*jenkinsfile.Closure).Body
		}
		exprs := map[string]jenkinsfile.Expr{}
		for _, s := range body(0).Stmts {
			a := s.(*jenkinsfile.ExprStmt).X.(*jenkinsfile.Assign)
			exprs[a.X.(*jenkinsfile.Ident).Name] = a.Y
		}
		var names Lookup
		names = func(name string) (value.Value, bool, error) {
			x, ok := exprs[name]
			if !ok {
				return nil, false, nil
			}
			v, err := t.Eval(x, nil)
			return v, true, err
		}
		return t.Framed("stage", func() (value.Value, error) {
			return t.Block("Build", func() (value.Value, error) { return t.Exec(body(1), names) })
		})
	}
	out, err := run(t, src, func(c *Config) {
		withSteps(c)
		c.Forms = map[string]Form{"pipeline": pipeline}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "[Pipeline] stage\n[Pipeline] { (Build)\n[Pipeline] echo\nb-a local helped 1 b\n[Pipeline] }\n[Pipeline] // stage\n[Pipeline] echo\nafter\n"
	if out != want {
		t.Errorf("console:\n%s\nwant:\n%s", out, want)
	}
}

func TestLimits(t *testing.T) {
	for name, src := range map[string]string{
		"steps":          `while (true) { }`,
		"caught for all": `while (true) { try { while (true) {} } catch (Throwable e) { } finally { } }`,
		"string":         `def s = 'x'; while (true) { s = s + s }`,
		"repeat":         `'x' * 2000000000`,
		"list":           `def l = [1]; while (true) { l = l + l }`,
		"range":          `(1..2000000000).toList()`,
		"append":         `def l = []; while (true) { l << 1 }`,
		"pad":            `'x'.padLeft(2000000000)`,
		"permutations":   `(1..12).toList().permutations()`,
		"combinations":   `([(1..100).toList()] * 8).combinations()`,
		"builder":        `def b = new StringBuilder('xxxxxxxx'); while (true) { b << b.toString() }`,
		"put":            `def l = []; l[2000000000] = 1`,
		"array":          `new int[2000000000]`,
		"replace":        `def s = 'a' * 100000; while (true) { s = s.replaceAll('a', 'aaaaaaaaaa') }`,
		"power":          `10G ** 1000000000`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, src, func(c *Config) {
				c.Limits = Limits{Steps: 3_000_000, Collection: 200_000, String: 1 << 20, Bytes: 64 << 20}
			})
			var l *LimitError
			var ex *value.Exception
			if !errors.As(err, &l) && !(errors.As(err, &ex) && ex.Class == "java.lang.ArithmeticException") {
				t.Fatalf("error %v", err)
			}
		})
	}
	t.Run("depth", func(t *testing.T) {
		out, err := run(t, `def f(n) { f(n + 1) }; try { f(0) } catch (StackOverflowError e) { println 'deep' }`, nil)
		if err != nil || out != "deep\n" {
			t.Fatalf("%q %v", out, err)
		}
	})
	t.Run("regex", func(t *testing.T) {
		_, err := run(t, `('a' * 40 + 'b') ==~ /(a+)+c/`, nil)
		if err == nil || !strings.Contains(err.Error(), "took more than") {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("self containing", func(t *testing.T) {
		out, err := run(t, `def l = [1]; l << l; println l; def m = [:]; m.a = [m]; println m.toString().size() > 0`, nil)
		if err != nil || out != "[1, (this Collection)]\ntrue\n" {
			t.Fatalf("%q %v", out, err)
		}
	})
}

// TestHostile evaluates scripts that aim at the controller itself: each must end soon, and as a script ends.
func TestHostile(t *testing.T) {
	for name, src := range map[string]string{
		"text of doubled lists":    `def l = [1]; 60.times { l = [l, l] }; println l.toString().size() > 0`,
		"text of a circle":         `def a = [], b = [a, a]; a << b << b; println a.toString().size() > 0`,
		"key of a circle":          `def a = [], b = [a, a]; a << b << b; def m = [:]; m[a] = 1; println m.size()`,
		"equal circles":            `def f = { def a = [], b = [a, a]; a << b << b; a }; println f() == f()`,
		"json of a circle":         `def a = [], b = [a, a]; a << b << b; println groovy.json.JsonOutput.toJson(a)`,
		"flatten a circle":         `def a = [], b = [a, a]; a << b << b; a.flatten()`,
		"collectNested a circle":   `def a = [], b = [a, a]; a << b << b; a.collectNested { it }`,
		"step gets a circle":       `def a = [], b = [a, a]; a << b << b; dump(a)`,
		"inspect a circle":         `def a = [], b = [a, a]; a << b << b; a.inspect().size()`,
		"exception of itself":      `def e = new Exception('x'); e.initCause(e); e.addSuppressed(e); throw e`,
		"toString of itself":       `class A { String toString() { "$this" } }; println new A().toString().size() > 0`,
		"loose text of itself":     `class A { def toString() { "$this" } }; println new A().toString().size() > 0`,
		"equals of itself":         `class A { boolean equals(Object o) { this == o } }; new A() == new A()`,
		"lazy text of itself":      `def g; g = "${-> g}"; println g.toString().size() > 0`,
		"hash of a circle":         `def a = [], b = [a, a]; a << b << b; a.hashCode()`,
		"sort of circles":          `def a = [], b = [a, a]; a << b << b; [a, b, a].sort(); [a, b].unique()`,
		"interfaces in a circle":   `interface A extends B {}; interface B extends A {}; class C implements A {}; println new C() instanceof Runnable`,
		"superclasses in a circle": `class A extends B {}; class B extends A {}; new A()`,
		"deep expressions":         `def f(n) { 1` + strings.Repeat(" + (1", 150) + ` + f(n + 1)` + strings.Repeat(")", 150) + ` }; f(0)`,
		"wide expression":          `println ` + strings.Repeat("1 + ", 1_900) + "1",
		"method pointer loop":      `def c; c = { c() }; def d = c >> c; d()`,
		"memory in a step's name":  `"${'x' * 1000000}"()`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, src, func(c *Config) {
				withSteps(c)
				c.Limits = Limits{Steps: 5_000_000}
			})
			if err != nil && strings.Contains(err.Error(), "internal error") {
				t.Fatal(err)
			}
		})
	}
}
