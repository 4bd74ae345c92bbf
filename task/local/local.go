// Package local is the executor of this machine: it unpacks an action's inputs into a sandbox, runs its command there, and packs its
// outputs. An Executor may be used concurrently.
package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task"
	"github.com/outwork-build/outwork/task/sandbox"
)

// Config says where actions run. Store and Sandbox are required; zero values of the rest have the defaults given.
type Config struct {
	Store   cas.Store
	Sandbox *sandbox.Sandbox
	Dir     string        // where scratch folders are made; the system's temporary folder
	Timeout time.Duration // of actions that have none; an hour
	MaxLog  int64         // bytes of an action's log that are kept, its beginning; 64 MiB
}

// Executor is a task.Executor.
type Executor struct{ cfg Config }

var _ task.Executor = (*Executor)(nil)

// New returns an executor.
func New(cfg Config) *Executor {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Hour
	}
	if cfg.MaxLog == 0 {
		cfg.MaxLog = 64 << 20
	}
	return &Executor{cfg}
}

// maxMessage is the most bytes that an action, a command or a folder may have.
const maxMessage = 64 << 20

// Execute implements task.Executor.
func (e *Executor) Execute(ctx context.Context, r task.Request) (*repb.ActionResult, error) {
	x := &execution{Executor: e, request: r, action: new(repb.Action), command: new(repb.Command), made: newStaged(e.cfg.Store)}
	if err := read(ctx, e.cfg.Store, r.Action, x.action); err != nil {
		return nil, fmt.Errorf("action: %w", err)
	}
	if err := read(ctx, e.cfg.Store, task.Digest(x.action.CommandDigest), x.command); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	dir, err := os.MkdirTemp(e.cfg.Dir, "outwork-task-")
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	if x.scratch, err = sandbox.NewScratch(dir); err != nil {
		return nil, err
	}
	return x.run(ctx)
}

// read gets a message of a store.
func read(ctx context.Context, s cas.Store, d cas.Digest, m proto.Message) error {
	b, err := cas.ReadAll(ctx, s, d, maxMessage)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return fault.With(fault.Invalid, err)
	}
	return nil
}

// execution is one action being run.
type execution struct {
	*Executor
	request task.Request
	action  *repb.Action
	command *repb.Command
	scratch sandbox.Scratch
	root    *os.Root // the input root
	made    *staged  // what came of it, on its way into the store
	log     *log
}

func (x *execution) run(ctx context.Context) (*repb.ActionResult, error) {
	var err error
	if x.root, err = os.OpenRoot(x.scratch.Work()); err != nil {
		return nil, err
	}
	defer x.root.Close()
	meta := &repb.ExecutedActionMetadata{Worker: "here", WorkerStartTimestamp: timestamppb.Now()}
	if kind, err := x.cfg.Sandbox.Kind(ctx); err == nil {
		meta.Worker = fmt.Sprintf("here (%s)", kind)
	}
	meta.InputFetchStartTimestamp = timestamppb.Now()
	if err := x.prepare(ctx); err != nil {
		return nil, err
	}
	meta.InputFetchCompletedTimestamp = timestamppb.Now()
	result := &repb.ActionResult{ExecutionMetadata: meta}
	x.log = newLog(x.cfg.MaxLog, x.request.Output)
	meta.ExecutionStartTimestamp = timestamppb.Now()
	code, read, failed := x.execute(ctx)
	meta.ExecutionCompletedTimestamp = timestamppb.Now()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	result.ExitCode = int32(code)
	if failed == nil {
		meta.OutputUploadStartTimestamp = timestamppb.Now()
		failed = x.collect(ctx, result)
		meta.OutputUploadCompletedTimestamp = timestamppb.Now()
	}
	if failed == nil && len(read) > 0 {
		failed = undeclared(read)
	}
	d, err := cas.PutBytes(ctx, x.made, x.log.bytes())
	if err == nil {
		err = x.made.commit(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("keep outputs and log: %w", err)
	}
	result.StdoutDigest = task.Proto(d)
	meta.WorkerCompletedTimestamp = timestamppb.Now()
	return result, failed
}

func undeclared(read []string) error {
	for i, p := range read {
		read[i] = strings.TrimPrefix(p, "ws/")
	}
	return fault.New(fault.Invalid, "read files of the workspace that are not among its sources: %s; add them to sources", strings.Join(read, ", "))
}

// prepare unpacks the inputs and makes the folders that outputs stand in.
func (x *execution) prepare(ctx context.Context) error {
	if err := tree.Unpack(ctx, x.cfg.Store, task.Digest(x.action.InputRootDigest), x.root, "", tree.Limits{}); err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	for _, dir := range append([]string{"."}, x.outputs()...) {
		if err := x.root.MkdirAll(path.Dir(path.Join(x.command.WorkingDirectory, dir)), 0o755); err != nil {
			return fault.With(fault.Invalid, fmt.Errorf("output %s: %w", dir, err))
		}
	}
	return x.root.MkdirAll(path.Clean(x.command.WorkingDirectory), 0o755)
}

// outputs are the paths to bring back, relative to the working directory.
func (x *execution) outputs() []string {
	if len(x.command.OutputPaths) > 0 {
		return x.command.OutputPaths
	}
	return append(append([]string(nil), x.command.OutputFiles...), x.command.OutputDirectories...) //nolint:staticcheck // what clients of the standard's first version send
}

// execute runs the command. Decoys stand for absent files meanwhile; read are those that were read.
func (x *execution) execute(ctx context.Context) (code int, read []string, err error) {
	timeout := x.cfg.Timeout
	if x.action.Timeout != nil {
		timeout = x.action.Timeout.AsDuration()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w of %s", task.ErrTimeout, timeout))
	defer cancel()
	if len(x.request.Absent) > 0 {
		watch, err := sandbox.StartWatch(x.scratch, x.request.Absent)
		if err != nil {
			return 0, nil, err
		}
		defer func() { read = watch.Stop() }()
	}
	var env []string
	for _, v := range x.command.EnvironmentVariables {
		env = append(env, v.Name+"="+v.Value)
	}
	argv := x.command.Arguments
	if dir := path.Clean(x.command.WorkingDirectory); dir != "." {
		argv = append([]string{"/bin/sh", "-c", `cd "$0" && exec "$@"`, dir}, argv...)
	}
	if len(argv) == 0 {
		return 0, nil, fault.New(fault.Invalid, "the command has no arguments")
	}
	code, err = x.cfg.Sandbox.Run(ctx, sandbox.Spec{Scratch: x.scratch, Argv: argv, Env: env, Output: x.log})
	return code, nil, err
}

// collect stores the outputs that are there and names them in the result.
func (x *execution) collect(ctx context.Context, result *repb.ActionResult) error {
	for _, out := range x.outputs() {
		if err := x.output(ctx, out, result); err != nil {
			return fmt.Errorf("output %s: %w", out, err)
		}
	}
	return nil
}

func (x *execution) output(ctx context.Context, out string, result *repb.ActionResult) error {
	at := path.Join(x.command.WorkingDirectory, out)
	if !filepath.IsLocal(filepath.FromSlash(at)) {
		return fault.New(fault.Invalid, "leads out of the input root")
	}
	info, err := x.root.Lstat(filepath.FromSlash(at))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // what was not made is left out
	}
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return x.folder(ctx, at, out, result)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := x.root.Readlink(filepath.FromSlash(at))
		result.OutputSymlinks = append(result.OutputSymlinks, &repb.OutputSymlink{Path: out, Target: filepath.ToSlash(target)})
		return err
	}
	p, err := tree.Pack(ctx, x.made, x.root, "", []string{at})
	if err != nil {
		return err
	}
	f := p.Files[0]
	result.OutputFiles = append(result.OutputFiles, &repb.OutputFile{Path: out, Digest: task.Proto(f.Digest), IsExecutable: f.Mode&0o111 != 0})
	return nil
}

// folder packs an output folder.
func (x *execution) folder(ctx context.Context, at, out string, result *repb.ActionResult) error {
	sub, err := x.root.OpenRoot(filepath.FromSlash(at))
	if err != nil {
		return err
	}
	defer sub.Close()
	var files []string
	err = fs.WalkDir(sub.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != "." {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	p, err := tree.Pack(ctx, x.made, sub, "", files)
	if err != nil {
		return err
	}
	d, err := x.wholeTree(ctx, p.Root)
	if err != nil {
		return err
	}
	result.OutputDirectories = append(result.OutputDirectories, &repb.OutputDirectory{Path: out, TreeDigest: task.Proto(d), RootDirectoryDigest: task.Proto(p.Root)})
	return nil
}

// wholeTree stores a Tree message of a packed folder: its root and every different folder below, parents before children.
func (x *execution) wholeTree(ctx context.Context, root cas.Digest) (cas.Digest, error) {
	t, seen := &repb.Tree{}, map[cas.Digest]bool{root: true}
	for queue := []cas.Digest{root}; len(queue) > 0; queue = queue[1:] {
		d := new(repb.Directory)
		if err := read(ctx, x.made, queue[0], d); err != nil {
			return root, err
		}
		if t.Root == nil {
			t.Root = d
		} else {
			t.Children = append(t.Children, d)
		}
		for _, n := range d.Directories {
			if sub := task.Digest(n.Digest); !seen[sub] {
				seen[sub] = true
				queue = append(queue, sub)
			}
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(t)
	if err != nil {
		return root, err
	}
	return cas.PutBytes(ctx, x.made, b)
}

// removeAll removes a scratch folder, also what the commands have made unwritable.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// log keeps the beginning of what is written and passes all of it on. One process writes to it at a time.
type log struct {
	kept    bytes.Buffer
	room    int64
	dropped int64
	to      io.Writer
}

func newLog(room int64, to io.Writer) *log {
	if to == nil {
		to = io.Discard
	}
	return &log{room: room, to: to}
}

func (l *log) Write(p []byte) (int, error) {
	keep := min(int64(len(p)), l.room-int64(l.kept.Len()))
	l.kept.Write(p[:keep])
	l.dropped += int64(len(p)) - keep
	_, _ = l.to.Write(p) // who looks on may stop to
	return len(p), nil
}

func (l *log) bytes() []byte {
	if l.dropped > 0 {
		fmt.Fprintf(&l.kept, "\n[%d more bytes were not kept]\n", l.dropped)
	}
	return l.kept.Bytes()
}
