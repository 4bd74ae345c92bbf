// Package step says what a pipeline step is, and what it may ask of the run it is part of.
//
// A Step has a Spec, by which its arguments are checked before anything runs, and Run. Each folder below holds the steps of
// one kind; server/kinds.go names them all. Package interp calls them; the pipeline package is the Run behind them.
//
// # Effects
//
// All that is not pure Groovy is an effect: it goes through Thread.Do, which journals it. A step's code outside of Do must be
// deterministic, because it runs again on every resume: no clock, no random, no environment, no map iteration.
package step

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

// Step is one kind of pipeline step. Implementations keep no state between calls and may be used by many runs at once.
type Step interface {
	Spec() Spec
	// Run evaluates one call. Arguments were checked against the Spec and have their declared types. The error is a
	// *value.Exception when the pipeline's author is to see it; any other error is the farm's fault (build.CauseInfra).
	Run(t Thread, c *Call) (value.Value, error)
}

// Spec describes a step to the validator, to the console and to `outwork pipeline steps`.
type Spec struct {
	Name   string
	Params []Param // in documented order
	// Sole is the parameter that a single unnamed argument sets; "" when there is none.
	Sole string
	// Rest is the parameter that gets, as an ordered *value.Map, the named arguments that are not in Params: the branches of
	// parallel. "" when such arguments are an error. A single unnamed map argument is taken as named arguments, as always.
	Rest string
	// Block says that the step takes a body. BodyOptional that it may also stand without.
	Block, BodyOptional bool
	// NeedsNode says that it works on an agent: outside of node/agent it fails with Jenkins' message.
	NeedsNode bool
	// Option says that Declarative allows it in options{}: a block step that needs no workspace.
	Option bool
	// Quiet says that no "[Pipeline] name" line is printed.
	Quiet bool
	Doc   string // one line
}

// Param is one parameter of a step.
type Param struct {
	Name     string
	Type     Type
	Required bool
	Default  value.Value
	Enum     []string // accepted values, when Type is String and the set is closed
	Doc      string
}

// Type is the type of a parameter; arguments are converted to it as Jenkins' databinding does ("5" and 5 alike).
type Type string

const (
	Any     Type = "any"
	Str     Type = "string"
	Int     Type = "int"
	Boolean Type = "boolean"
	ListOf  Type = "list"
	MapOf   Type = "map"
)

// Call is one call of a step.
type Call struct {
	Args map[string]value.Value // by parameter name; defaults filled in; absent optional ones without default are missing
	Body value.Callable         // nil when there is none
	At   jenkinsfile.Pos
}

// String, Int and Bool read an argument; a missing one is the zero value.
func (c *Call) String(name string) string { s, _ := c.Args[name].(string); return s }
func (c *Call) Int(name string) int64     { n, _ := c.Args[name].(int64); return n }
func (c *Call) Bool(name string) bool     { b, _ := c.Args[name].(bool); return b }
func (c *Call) Has(name string) bool      { _, ok := c.Args[name]; return ok }

// Address is the place of an effect in a run: branch path, then sequence, stable across replays: "2/b:linux/5".
type Address string

// Thread is one line of execution of the program. Its methods are called by the goroutine that holds the program's baton,
// that is: by Step.Run, never from inside an effect and never from another goroutine.
type Thread interface {
	// Do performs an effect: it gives the baton away, runs e.Run, journals the result and returns it. On replay the
	// journalled result (or exception) is returned and e.Run is not called; if the effect had started and not completed,
	// e.Run is called again and must re-attach (its Address is the same). An interruption ends e.Run's context, with the
	// *value.Exception as its cause; e.Run should then return context.Cause(ctx).
	Do(e Effect) (json.RawMessage, error)
	// Call calls a closure with the baton.
	Call(c value.Callable, args ...value.Value) (value.Value, error)
	// Parallel runs branches as threads of their own, all started at once, one at a time holding the baton, and returns
	// when every one has ended: their values or errors, in the order of branches. failFast interrupts the others after the
	// first failure.
	Parallel(branches []Branch, failFast bool) ([]Outcome, error)
	// Interruptible runs body; until it returns, the interrupter may be used from any goroutine: it ends the effects that
	// are under way inside of body, once, with the exception given. A thread that is between effects gets it at its next one.
	Interruptible(body func(Interrupter) (value.Value, error)) (value.Value, error)
	// With runs body in a scope changed by set. The scope is what Scope returns, for closures called inside body too.
	With(set func(*Scope), body func() (value.Value, error)) (value.Value, error)
	Scope() *Scope
	// Block prints the frame of a block step: "[Pipeline] {" or "[Pipeline] { (label)", body, "[Pipeline] }".
	Block(label string, body func() (value.Value, error)) (value.Value, error)
	// Print writes a line to the console as this thread's own. On replay the log drops what it has: text must be deterministic.
	Print(line string)
	// Address of the call being evaluated.
	Address() Address
	Run() Run
}

// Effect is one thing done to the world.
type Effect struct {
	Name string // step name, or step.part: "sh", "node.acquire"
	// Args are hashed into the journal: another hash at the same address on replay means that the pipeline is not deterministic.
	Args any
	// Key tells several effects of one call apart; "" for the only one.
	Key string
	// Run does it. It gets the effect's address. It does not hold the baton and must not touch Values.
	Run func(ctx context.Context, a Address) (any, error)
	// Forget, when set, is called after the completion is durable: the place to release what Run left for re-attaching.
	Forget func(ctx context.Context, a Address)
}

// Branch is one branch of Parallel; Outcome how it ended.
type (
	Branch struct {
		Name string
		Body func(Thread) (value.Value, error)
	}
	Outcome struct {
		Value value.Value
		Err   error
	}
)

// Interrupter ends what runs in a body. Its method may be called from any goroutine, any number of times.
type Interrupter interface{ Interrupt(*value.Exception) }

// Scope is what enclosing block steps set. Thread.With gives a body a changed copy.
type Scope struct {
	Node       *Node          // nil outside of node
	Dir        string         // current folder on the node, absolute; "" is the workspace
	Env        []string       // NAME=value, later ones win; NAME+X=value prepends to NAME as a path list
	Stage      string         // STAGE_NAME
	StageID    string         // build.Stage.ID; "" outside of stages
	Timestamps bool           // lines are prefixed with their time
	Retryable  bool           // inside retry(conditions: [agent()]) : node blocks get queue policy Kill
	Mark       *Mark          // result of the innermost stage so far; nil outside of stages
	Values     map[string]any // what a step kind keeps for itself, by its own key; copied on With
}

// Node is the executor a scope runs on.
type Node struct {
	Name      string
	Grant     queue.Grant
	Workspace agent.Workspace
	OS        string // runtime.GOOS of the machine
	Labels    []string
	// Env is what the machine itself gives to every step: env.PATH where nothing in the pipeline sets PATH.
	Env map[string]string
	// Tools are the node's own tools: folders by name, absolute, or relative to Workspace.Tools.
	Tools map[string]string
	// Lost is closed when the lease is lost; nil is never.
	Lost <-chan struct{}
	// Machine waits until the node's agent is connected and returns it; it fails with queue.ErrLost when the lease is lost.
	Machine func(ctx context.Context) (agent.Machine, error)
}

// Variable is what a step on the node would find in its environment when nothing in the pipeline sets it.
func (n *Node) Variable(name string) (string, bool) {
	if n.OS == "windows" {
		name = strings.ToUpper(name)
	}
	if v, ok := n.Env[name]; ok {
		return v, true
	}
	var v string
	switch {
	case name == "HOME", name == "USERPROFILE" && n.OS == "windows":
		v = n.Workspace.Home
	case name == "TMPDIR", (name == "TEMP" || name == "TMP") && n.OS == "windows":
		v = n.Workspace.Tmp
	}
	return v, v != ""
}

// Run is what steps may ask of the run they are part of. All methods may be called from effects, concurrently.
type Run interface {
	Build() build.Build
	Job() build.Job
	// Output opens the console stream of an effect: bytes already received under (address, offset) are dropped, so that
	// re-attaching repeats nothing. Received says how many bytes of it the log has.
	Output(a Address, stage string) Stream
	Nodes() Nodes
	Details() build.Details
	// SetResult worsens the build's result. Deterministic effects only: call it from Step.Run, not from an effect.
	SetResult(r build.Result)
	Result() build.Result // "" while nothing has set it
	// SCM is what `checkout scm` means in this run; nil when the script has no repository.
	SCM() *build.Source
	// Base returns the environment every step gets: BUILD_NUMBER, JOB_NAME, BUILD_URL, parameters, env.X = … of the script.
	Base() []string
	Now() time.Time // for effects only
}

// Stream is one effect's part of the console.
type Stream interface {
	io.Writer                                 // at the end of what was received
	WriteAt(p []byte, off int64) (int, error) // io.WriterAt; bytes below Received are dropped, a gap is an error
	Received() int64
	Sync() error  // what was written is on disk when it returns
	Close() error // ends a last line that has no newline
}

// Stamper is a Stream that can begin each line with its time, as `timestamps` wants. Received does not count that.
type Stamper interface{ Stamp() }

// Stamped returns s, its lines beginning with their time when on and when s is a Stamper. Ask for it before the first byte.
func Stamped(s Stream, on bool) Stream {
	if st, ok := s.(Stamper); ok && on {
		st.Stamp()
	}
	return s
}

// Nodes gives executors to node blocks.
type Nodes interface {
	// Acquire waits for an executor, opens its lease on the machine, and returns it; called again with the same address it
	// re-attaches. waiting is called, more than once at most, with the reason while it waits long (15 s).
	Acquire(ctx context.Context, a Address, r Request, waiting func(why string)) (*Node, error)
	// Attach returns the node of a grant that an earlier Acquire gave, on replay, without waiting.
	Attach(g queue.Grant, w agent.Workspace) *Node
	Release(ctx context.Context, n *Node) error
}

// Request is what a node block asks for.
type Request struct {
	Label     string
	Workspace string // customWorkspace
	Policy    agent.Policy
	Stage     string `json:",omitempty"` // STAGE_NAME of who asks, for people
}
