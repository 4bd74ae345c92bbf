// Package interp evaluates a Jenkinsfile: the Groovy 2.4 subset, the calls of steps, and the threads of a program.
//
// A Program is one run. Its threads (the main one, and one a branch of parallel) are goroutines of which one at a time holds the
// baton; the baton moves only where a thread performs an effect, joins its branches or ends. Completions of effects are put
// into the journal, and handed to the program in the journal's order, one at a time, when no thread can go on by itself. So a
// program is a pure function of its text and its journal: to resume it, run it again from the top with the entries that
// were kept (Config.Replay).
//
// What a step does is left to package step and its folders; what a declarative pipeline means is left to whoever registers a
// Form for `pipeline`. Program's methods may be called from any goroutine; a Thread's only by the goroutine that got it.
package interp

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// Config is what a program is made of.
type Config struct {
	File  *jenkinsfile.File
	Steps map[string]step.Step // by name
	// Symbols are the data makers that stand as arguments of steps: `logRotator(numToKeepStr: '5')`, `string(name: 'X')`. The key is
	// the symbol, the value its sole parameter ("" for none). A call evaluates to a *value.Map with "$class" set to the symbol.
	Symbols map[string]string
	// Forms are calls that get their own syntax tree instead of values: `pipeline { … }`.
	Forms map[string]Form
	// Globals are currentBuild, params, scm, docker, the vars of libraries. A *value.Map under "params" also answers bare names.
	// `env` is made by the interpreter. A global that is Callable, or an Object with a method "call", can be called by name.
	Globals map[string]value.Value
	Run     step.Run
	Journal Journal // nil keeps nothing
	Replay  []Entry // what the journal holds, by Seq
	// SetEnv is told of each `env.NAME = value` (nil removes the variable), with the baton, on replay too: Run.Base must answer it from then on.
	SetEnv func(name string, value *string)
	// Around wraps the evaluation of the script on the main thread; nil only evaluates it. It may perform effects of its own.
	Around func(t *Thread, script func() (value.Value, error)) error
	// Changed is told, without content, that Program.Rest answers differently. It is called from any goroutine, must not wait, and may
	// ask the program. nil is not told.
	Changed func(*Program)
	Limits  Limits
	Log     *slog.Logger // nil discards
}

// Form evaluates a call of a registered name from its syntax tree. The local variables around the call are those that
// Thread.Eval and Thread.Exec see.
type Form func(t *Thread, call *jenkinsfile.Call) (value.Value, error)

// Limits bound what a script may use of the controller. Zero fields have the defaults given here.
type Limits struct {
	Steps      int64 // nodes of the tree evaluated, over the whole run: 500 million
	Depth      int   // calls within calls: 1,000
	Collection int   // elements of one list or map: 2 million
	String     int   // bytes of one string: 64 MiB
	Bytes      int64 // bytes of strings and collections made, over the whole run: 8 GiB
}

// Kind says what an entry of the journal records.
type Kind string

const (
	Started     Kind = "started"     // an effect is about to act
	Completed   Kind = "completed"   // an effect ended: Payload is its Result
	Interrupted Kind = "interrupted" // an Interrupter was used: Address is its body's, Payload its Result
	Killed      Kind = "killed"      // the program was ended at once: Payload is its Result
)

// Entry is one line of a run's journal. It encodes as JSON.
type Entry struct {
	Seq     uint64          `json:"seq"` // from 1, without gaps
	Kind    Kind            `json:"kind"`
	Address step.Address    `json:"address,omitempty"`
	Name    string          `json:"name,omitempty"` // Effect.Name
	Hash    string          `json:"hash,omitempty"` // of Effect.Args
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Journal keeps entries. Append is called by one goroutine at a time, with the next entries in order; they are durable when
// it returns. After an error nothing more is appended and the program stops with it, to be resumed later.
type Journal interface {
	Append(ctx context.Context, entries []Entry) error
}

// Lookup answers a name that is no local variable and no variable of the script's binding, before the environment does, and
// `env.NAME` too. ok false passes the question on.
type Lookup func(name string) (v value.Value, ok bool, err error)

// Invoker is an Object whose methods may call steps and closures: it gets the thread. It is asked before Object.Invoke.
type Invoker interface {
	InvokeIn(t step.Thread, name string, args []value.Value) (v value.Value, ok bool, err error)
}

// Thread implements step.Thread; every step.Thread that this package hands out is a *Thread.
var _ step.Thread = (*Thread)(nil)
