package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/action"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/graph"
)

// revivals is how often an action is tried again because bytes were lost.
const revivals = 3

func (w *walk) artifact(n *graph.Node) cas.Digest { return w.items[n.Index].artifact.get() }

func (it *item) parts() []graph.Part { return graph.Explain(it.node, it.in, it.action) }

// makeAction makes an item's action of what its requirements' artifacts are now.
func (w *walk) makeAction(it *item) (err error) {
	if it.in, err = w.inputs(it.node, w.artifact); err == nil {
		it.action, err = graph.NewAction(it.node, it.in)
	}
	return err
}

// prepare makes an item's action and looks for its result. Without one the state is Waiting.
func (w *walk) prepare(ctx context.Context, it *item) (Result, error) {
	r := Result{State: Waiting}
	if err := w.makeAction(it); err != nil {
		return r, err
	}
	r.Key = it.action.Digest
	if it.node.Task.Cacheable && !w.cfg.NoCache {
		result, entries, err := w.fetch(ctx, r.Key)
		if err != nil {
			return r, err
		}
		if result != nil {
			r.Where = result.GetExecutionMetadata().GetWorker()
			if r.Tests, err = readTests(ctx, w.cfg.Store, graph.Reports(it.node.Task, entries)); err == nil {
				r.Artifact, err = w.publish(ctx, it, entries)
			}
			if !lost(err) {
				r.State = Hit
				w.history.note(it.node.Task.ID, r.Key.Hash, it.parts)
				return r, err
			}
		}
	}
	switch {
	case !it.node.Task.Cacheable:
		r.Reasons = []string{"it is not cacheable"}
	case w.cfg.NoCache:
		r.Reasons = []string{"the cache was not asked"}
	default:
		r.Reasons = w.history.reasons(it.node.Task.ID, r.Key.Hash, it.parts)
	}
	return r, nil
}

// fetch gets the result of an action that ended well and whose outputs are all there; nil if there is none.
func (b *Builder) fetch(ctx context.Context, key cas.Digest) (*repb.ActionResult, []tree.Entry, error) {
	result, err := b.actionCache().Get(ctx, action.Key("", key.Hash))
	if lost(err) || fault.Is(err, fault.Invalid) || err == nil && result.ExitCode != 0 {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ask the cache: %w", err)
	}
	entries, err := b.outputs(ctx, result)
	if lost(err) || fault.Is(err, fault.Invalid) {
		return nil, nil, nil
	}
	return result, entries, err
}

func (b *Builder) actionCache() action.Cache {
	return action.Cache{Store: b.cfg.Store, Actions: b.cfg.Actions}
}

// maxTree is the most bytes of a Tree message.
const maxTree = 256 << 20

func (b *Builder) outputs(ctx context.Context, r *repb.ActionResult) ([]tree.Entry, error) {
	return graph.Outputs(r, func(d cas.Digest) ([]byte, error) { return cas.ReadAll(ctx, b.cfg.Store, d, maxTree) })
}

// complete reports whether the bytes of all entries are there.
func (b *Builder) complete(ctx context.Context, entries []tree.Entry) (bool, error) {
	var ds []cas.Digest
	for _, e := range entries {
		if e.Mode.IsRegular() {
			ds = append(ds, e.Digest)
		}
	}
	missing, err := b.cfg.Store.Missing(ctx, ds)
	return len(missing) == 0, err
}

// publish makes an item's artifact of its action's outputs.
func (w *walk) publish(ctx context.Context, it *item, entries []tree.Entry) (cas.Digest, error) {
	root, blobs, err := graph.Publish(it.node.Task, entries)
	if err != nil {
		return root, err
	}
	if err := putMissing(ctx, w.cfg.Store, blobs); err != nil {
		return root, fmt.Errorf("publish: %w", err)
	}
	it.artifact.set(root)
	return root, nil
}

// putMissing stores those of small blobs that the store lacks.
func putMissing(ctx context.Context, store cas.Store, blobs map[cas.Digest][]byte) error {
	ds := make([]cas.Digest, 0, len(blobs))
	for d := range blobs {
		ds = append(ds, d)
	}
	missing, err := store.Missing(ctx, ds)
	if err != nil || len(missing) == 0 {
		return err
	}
	batch := make([]cas.Blob, len(missing))
	for i, d := range missing {
		batch[i] = cas.Blob{Digest: d, Data: blobs[d]}
	}
	return errors.Join(cas.PutBatch(ctx, store, batch)...)
}

// execute runs an item's action and keeps what came of it.
func (w *walk) execute(ctx context.Context, it *item) (Result, error) {
	it.mu.Lock()
	defer it.mu.Unlock()
	return w.perform(ctx, it)
}

// perform is execute for who holds the item. Bytes that are lost meanwhile are made again, by those who made them first.
func (w *walk) perform(ctx context.Context, it *item) (Result, error) {
	for n := 0; ; n++ {
		r, err := w.once(ctx, it)
		if !lost(err) || n == revivals {
			return r, err
		}
		if err := w.revive(ctx, it); err != nil {
			return r, err
		}
	}
}

// revive runs those requirements of an item again whose artifacts have lost bytes, and makes the item's action anew.
func (w *walk) revive(ctx context.Context, it *item) error {
	for _, d := range it.node.Deps {
		if err := w.reviveOne(ctx, w.items[d.Node.Index]); err != nil {
			return fmt.Errorf("make the artifact of %s again: %w", d.Node.Task.ID, err)
		}
	}
	return w.makeAction(it)
}

func (w *walk) reviveOne(ctx context.Context, it *item) error {
	it.mu.Lock()
	defer it.mu.Unlock()
	entries, err := tree.List(ctx, w.cfg.Store, it.artifact.get(), tree.Limits{})
	if err != nil && !lost(err) {
		return err
	}
	if err == nil {
		if whole, err := w.complete(ctx, entries); whole || err != nil {
			return err
		}
	}
	r, err := w.perform(ctx, it)
	if err == nil && r.State != Built {
		err = errors.New(r.Error)
	}
	return err
}

// once runs an item's action one time.
func (w *walk) once(ctx context.Context, it *item) (Result, error) {
	r := Result{State: Failed, Log: w.LogFile(it.node.Task.ID)}
	request := task.Request{Action: it.action.Digest, Title: it.node.Task.ID}
	if err := w.upload(ctx, it); err != nil {
		return r, err
	}
	if w.cfg.Strict {
		absent, err := w.cfg.Workspace.Absent(it.in.Sources)
		if err != nil {
			return r, err
		}
		for _, p := range absent {
			request.Absent = append(request.Absent, "ws/"+p)
		}
	}
	log, err := os.Create(r.Log)
	if err != nil {
		return r, err
	}
	defer log.Close()
	end := &tail{}
	request.Output = io.MultiWriter(log, end)
	result, err := w.cfg.Executor.Execute(ctx, request)
	if err != nil {
		return r, err
	}
	r.Where, r.Exit = result.GetExecutionMetadata().GetWorker(), int(result.ExitCode)
	if err := w.conclude(ctx, it, result, &r); err != nil {
		return r, err
	}
	if r.State == Failed {
		absent, err := w.cfg.Workspace.Absent(it.in.Sources)
		if missed := mentioned(end.String(), it.node.Task.Dir, absent); err == nil && len(missed) > 0 {
			r.Error += hint(missed)
		}
	}
	return r, nil
}

// conclude makes a task's result of its action's.
func (w *walk) conclude(ctx context.Context, it *item, result *repb.ActionResult, r *Result) error {
	entries, err := w.outputs(ctx, result)
	if err != nil {
		return err
	}
	if r.Tests, err = readTests(ctx, w.cfg.Store, graph.Reports(it.node.Task, entries)); err != nil {
		return err
	}
	switch {
	case r.Exit != 0:
		r.Error = fmt.Sprintf("exit code %d", r.Exit)
		if r.Tests != nil && r.Tests.Failed > 0 {
			r.Error += ": " + r.Tests.String()
		}
		return nil
	case r.Tests != nil && r.Tests.Failed > 0:
		r.Error = r.Tests.String()
		return nil
	}
	if r.Artifact, err = w.keep(ctx, it, result, entries); err != nil {
		return err
	}
	r.State = Built
	w.history.note(it.node.Task.ID, it.action.Digest.Hash, it.parts)
	return nil
}

// keep puts a result into the cache and makes the artifact of its outputs, both at once: a store that syncs does it once then. A result
// whose artifact cannot be made is kept all the same, for it is what the action came to.
func (w *walk) keep(ctx context.Context, it *item, result *repb.ActionResult, entries []tree.Entry) (artifact cas.Digest, err error) {
	var g errgroup.Group
	g.Go(func() (err error) {
		artifact, err = w.publish(ctx, it, entries)
		return err
	})
	if it.node.Task.Cacheable {
		g.Go(func() error {
			if err := w.actionCache().Put(ctx, action.Key("", it.action.Digest.Hash), result); err != nil {
				return fmt.Errorf("keep result: %w", err)
			}
			return nil
		})
	}
	err = g.Wait()
	return artifact, err
}

// adopt makes an item's artifact of the result that another item with the same action has just put into the cache.
func (w *walk) adopt(ctx context.Context, it *item) (Result, error) {
	r := Result{State: Built}
	result, entries, err := w.fetch(ctx, it.action.Digest)
	if err == nil && result == nil {
		err = fault.New(fault.Unavailable, "the cache lost the result at once; build again")
	}
	if err == nil {
		r.Artifact, err = w.publish(ctx, it, entries)
	}
	if err == nil {
		r.Tests, err = readTests(ctx, w.cfg.Store, graph.Reports(it.node.Task, entries))
	}
	if err == nil {
		w.history.note(it.node.Task.ID, it.action.Digest.Hash, it.parts)
	}
	return r, err
}

// upload stores what an executor needs of an item: the action, its folders, the sources.
func (w *walk) upload(ctx context.Context, it *item) error {
	return w.cfg.Workspace.Store(ctx, w.cfg.Store, it.in.Sources, it.action.Blobs)
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const tailBytes = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 2*tailBytes {
		t.b = slices.Delete(t.b, 0, len(t.b)-tailBytes)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
