// Package task is the room of the cached task graph.
//
// A task says what it needs, what it runs and what it publishes. task/recipe reads tasks from Starlark files, task/graph puts the
// ones that are asked for in order and makes a Remote Execution API action of each, task/run walks them: what the cache has is taken
// from there, the rest goes to an executor. task/local is the executor of this machine, in a task/sandbox.
//
// A task's key is the digest of its action, and nothing else: equal work has equal keys, wherever and by whomever it is done.
package task

import (
	"context"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Request asks for an action to be executed. All that it consists of is in the store that asker and executor share.
type Request struct {
	Action cas.Digest
	Title  string    // what people call it
	Output io.Writer // gets what the commands write, while they do, as far as the executor sees it then; nil: nobody looks
	// Absent are paths of the input root that are not there although the workspace has them. An executor that can tell fails an
	// action that looks for one. Only strict runs fill it in.
	Absent []string
}

// ErrTimeout says that an action took longer than it may. What it wrote until then is in the result that comes with it.
var ErrTimeout = fault.New(fault.Exhausted, "took longer than its timeout")

// Executor runs actions: on this machine, on a farm, on a cluster that speaks the standard. Keys and results are the same everywhere.
// Execute may be called concurrently; it returns when nothing of the action runs any more.
//
// The outputs and the log of a result are in the shared store when Execute returns. An exit code is no error. A blob that the action
// needs and the store lacks is cas.ErrNotFound or cas.ErrMismatch; fault.Unavailable may work when it is tried again. With ErrTimeout,
// and with an error that is the action's own fault (fault.Invalid), comes a result that has the log.
type Executor interface {
	Execute(ctx context.Context, r Request) (*repb.ActionResult, error)
}

// Digest reads a digest of the standard's messages. It checks nothing.
func Digest(d *repb.Digest) cas.Digest {
	return cas.Digest{Hash: d.GetHash(), Size: d.GetSizeBytes()}
}

// Proto is the inverse of Digest.
func Proto(d cas.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }
