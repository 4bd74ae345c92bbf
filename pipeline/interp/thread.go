package interp

import (
	"bytes"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Thread is one line of execution: the main one, or a branch of parallel.
type Thread struct {
	p      *Program
	path   step.Address // "" of the main thread
	parent *Thread
	wake   chan struct{}

	seq       int
	calls     []*stepCall // being evaluated, the innermost last
	scope     *step.Scope
	bodies    []*body // interruptible ones around what is evaluated, the program's first
	names     []Lookup
	here      *env // local variables that Eval and Exec see
	at        jenkinsfile.Pos
	file      string // of at
	depth     int
	nested    int         // expressions being evaluated
	evaluated int         // nodes since the last effect
	ret       value.Value // of the return statement under way
	label     string      // of the break or continue under way

	eff      *effect // what the thread waits for
	result   []byte
	err      error
	pending  []*interrupt
	branches int // of its own that have not ended
	left     []*interrupt

	out      step.Stream
	outStage string
	outStamp bool
	outAt    int64
	buf      bytes.Buffer
}

// stepCall is one call of a step under way.
type stepCall struct {
	address step.Address
	used    map[string]int
}

func (t *Thread) nextAddress() step.Address {
	t.seq++
	if t.path == "" {
		return step.Address(strconv.Itoa(t.seq))
	}
	return t.path + "/" + step.Address(strconv.Itoa(t.seq))
}

// place makes an address below the call being evaluated; outside of all calls it takes a number of its own. The same key again
// in one call is told apart by its count.
func (t *Thread) place(sep, key string) step.Address {
	if len(t.calls) == 0 {
		a := t.nextAddress()
		if key != "" {
			a += step.Address(sep + key)
		}
		return a
	}
	c := t.calls[len(t.calls)-1]
	a := string(c.address)
	if key != "" {
		a += sep + key
	}
	if c.used == nil {
		c.used = map[string]int{}
	}
	n := c.used[a]
	c.used[a]++
	if n > 0 {
		a += "#" + strconv.Itoa(n)
	}
	return step.Address(a)
}

// numbered runs f as a call with an address of its own.
func (t *Thread) numbered(f func() (value.Value, error)) (value.Value, error) {
	t.calls = append(t.calls, &stepCall{address: t.nextAddress()})
	n := len(t.calls)
	defer func() { t.calls = t.calls[:n-1] }()
	return f()
}

// Address implements step.Thread.
func (t *Thread) Address() step.Address {
	if n := len(t.calls); n > 0 {
		return t.calls[n-1].address
	}
	if t.path == "" {
		return step.Address(strconv.Itoa(t.seq))
	}
	return t.path + "/" + step.Address(strconv.Itoa(t.seq))
}

// Run implements step.Thread.
func (t *Thread) Run() step.Run { return t.p.run }

// Program is the run this thread is part of.
func (t *Thread) Program() *Program { return t.p }

// Scope implements step.Thread. It must not be changed; see With.
func (t *Thread) Scope() *step.Scope { return t.scope }

// With implements step.Thread.
func (t *Thread) With(set func(*step.Scope), body func() (value.Value, error)) (value.Value, error) {
	outer := t.scope
	s := *outer
	s.Env = outer.Env[:len(outer.Env):len(outer.Env)]
	s.Values = maps.Clone(outer.Values)
	set(&s)
	t.scope = &s
	defer func() { t.scope = outer }()
	return body()
}

// Block implements step.Thread.
func (t *Thread) Block(label string, body func() (value.Value, error)) (value.Value, error) {
	if label == "" {
		t.Print("[Pipeline] {")
	} else {
		t.Print("[Pipeline] { (" + label + ")")
	}
	v, err := body()
	t.Print("[Pipeline] }")
	return v, err
}

// maxBuffer is how much text a thread holds back until it gives the baton away.
const maxBuffer = 64 << 10

// Print implements step.Thread. The thread's text has a stream of its own, "b:" and its path: on replay it is the same again,
// and the log drops what it has.
func (t *Thread) Print(line string) {
	if t.p.fatal.Load() != nil {
		return // the thread is being unwound: in the next life it goes another way
	}
	// As in Jenkins, the lines that show the pipeline's structure bear no time.
	stamp := t.scope.Timestamps && !strings.HasPrefix(line, "[Pipeline] ")
	if t.out != nil && (t.outStage != t.scope.StageID || t.outStamp != stamp) {
		t.closeStream()
	}
	if t.out == nil {
		t.outStage, t.outStamp = t.scope.StageID, stamp
		t.out = step.Stamped(t.p.run.Output("b:"+t.path, t.outStage), stamp)
	}
	t.buf.WriteString(line)
	t.buf.WriteByte('\n')
	if t.buf.Len() > maxBuffer {
		t.flush()
	}
}

func (t *Thread) flush() {
	if t.buf.Len() == 0 {
		return
	}
	n, err := t.out.WriteAt(t.buf.Bytes(), t.outAt)
	if err == nil && n < t.buf.Len() {
		err = fmt.Errorf("wrote %d of %d bytes", n, t.buf.Len())
	}
	if err != nil {
		t.p.die(fmt.Errorf("console: %w", err))
	}
	t.outAt += int64(t.buf.Len())
	t.buf.Reset()
}

func (t *Thread) closeStream() {
	t.flush()
	if t.out != nil {
		if err := t.out.Close(); err != nil {
			t.p.die(fmt.Errorf("console: %w", err))
		}
	}
	t.out = nil
}

// Call implements step.Thread.
func (t *Thread) Call(c value.Callable, args ...value.Value) (value.Value, error) {
	return t.call(c, args)
}

// Eval evaluates an expression of the file where the thread stands: with the local variables around the Form's call. names, when
// not nil, answers names for the time of this evaluation, for the closures called in it too.
func (t *Thread) Eval(x jenkinsfile.Expr, names Lookup) (value.Value, error) {
	return t.Names(names, func() (value.Value, error) { return t.eval(x, t.here) })
}

// Exec runs a block in a scope of its own; its value is that of a return or of the last statement.
func (t *Thread) Exec(b *jenkinsfile.Block, names Lookup) (value.Value, error) {
	return t.Names(names, func() (value.Value, error) { return t.runBody(b.Stmts, newEnv(t.here, t.here.f)) })
}

// Names answers names from lookup while body runs, in the threads it starts too. A nil lookup only runs body.
func (t *Thread) Names(lookup Lookup, body func() (value.Value, error)) (value.Value, error) {
	if lookup == nil {
		return body()
	}
	outer := t.names
	t.names = append(outer[:len(outer):len(outer)], lookup)
	defer func() { t.names = outer }()
	return body()
}

// CallStep calls a step as the script would: its "[Pipeline] name" line, its own address, its arguments checked. body is nil for
// a step without one.
func (t *Thread) CallStep(name string, args map[string]value.Value, body func() (value.Value, error)) (value.Value, error) {
	s := t.p.c.Steps[name]
	if s == nil {
		return nil, t.noSuchStep(name)
	}
	given := arguments{named: value.NewMap()}
	for _, p := range s.Spec().Params {
		if v, ok := args[p.Name]; ok {
			given.named.Put(p.Name, v)
		}
	}
	if body != nil {
		given.body = Func(0, func(*Thread, []value.Value) (value.Value, error) { return body() })
	}
	return t.runStep(s, given)
}

// Framed runs body as the call of a block step that has no Step behind it: it takes an address and prints "[Pipeline] name"
// before and "[Pipeline] // name" after. Block prints the braces.
func (t *Thread) Framed(name string, body func() (value.Value, error)) (value.Value, error) {
	return t.numbered(func() (value.Value, error) {
		t.Print("[Pipeline] " + name)
		v, err := body()
		t.Print("[Pipeline] // " + name)
		return v, err
	})
}

// Load evaluates another script in the same binding (the `load` step) and returns the value of its last statement; `this` in it
// is an Object with the script's methods.
func (t *Thread) Load(f *jenkinsfile.File) (value.Value, error) {
	s, err := t.p.newScript(f)
	if err != nil {
		return nil, err
	}
	return t.runScript(s)
}
