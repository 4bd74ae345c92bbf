// Package file has the steps that reach into a workspace: readFile, writeFile, fileExists, touch, deleteDir, dir, pwd, isUnix.
package file

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

// Steps returns the steps of this package.
func Steps() []step.Step {
	return []step.Step{ReadFile{}, WriteFile{}, FileExists{}, Touch{}, DeleteDir{}, Dir{}, Pwd{}, IsUnix{}}
}

// place is a path of a scope, in the two notations that are needed.
type place struct {
	node  *step.Node
	abs   string // for messages
	agent string // as agent.Files takes it
}

func locate(s *step.Scope, p string) place {
	abs, local := executor.Locate(s, p)
	return place{s.Node, abs, local}
}

// effect runs one call of the agent as an effect. Errors that the author can mend become exceptions.
func effect(t step.Thread, name string, args any, do func(context.Context, agent.Machine) (any, error), n *step.Node) (json.RawMessage, error) {
	return t.Do(step.Effect{Name: name, Args: args, Run: func(ctx context.Context, _ step.Address) (any, error) {
		var out any
		err := executor.Call(ctx, n, func(m agent.Machine) (err error) {
			out, err = do(ctx, m)
			return err
		})
		return out, refused(ctx, err)
	}})
}

// refused is executor.Refused, and for what the machine's file system says without a kind (a folder where a file should be,
// no permission) the exception that Java has for it: the build's doing, not the farm's.
func refused(ctx context.Context, err error) error {
	var e *value.Exception
	if err == nil || ctx.Err() != nil || errors.As(err, &e) || errors.Is(err, queue.ErrLost) || fault.Of(err) != fault.Internal {
		return executor.Refused(err)
	}
	return &value.Exception{Class: "java.io.IOException", Message: err.Error()}
}

func (p place) lease() agent.Lease { return p.node.Grant.Lease() }

// ReadFile is `readFile 'VERSION'`.
type ReadFile struct{}

// Spec implements step.Step.
func (ReadFile) Spec() step.Spec {
	return step.Spec{Name: "readFile", Sole: "file", NeedsNode: true, Doc: "return the text of a file",
		Params: []step.Param{{Name: "file", Type: step.Str, Required: true}, {Name: "encoding", Type: step.Str}}}
}

// Run implements step.Step.
func (ReadFile) Run(t step.Thread, c *step.Call) (value.Value, error) {
	code, err := codecFor(c.String("encoding"))
	if err != nil {
		return nil, err
	}
	p := locate(t.Scope(), c.String("file"))
	raw, err := effect(t, "readFile", c.String("file"), func(ctx context.Context, m agent.Machine) (any, error) {
		b, err := m.ReadFile(ctx, p.lease(), p.agent, 0)
		if fault.Is(err, fault.NotFound) {
			return nil, &value.Exception{Class: "java.nio.file.NoSuchFileException", Message: p.abs}
		}
		if fault.Is(err, fault.Exhausted) {
			return nil, value.Abort("readFile: " + err.Error())
		}
		if err != nil {
			return nil, err
		}
		return code.decode(b), nil
	}, p.node)
	if err != nil {
		return nil, err
	}
	var text string
	err = json.Unmarshal(raw, &text)
	return text, err
}

// WriteFile is `writeFile file: 'VERSION', text: '1.0'`.
type WriteFile struct{}

// Spec implements step.Step.
func (WriteFile) Spec() step.Spec {
	return step.Spec{Name: "writeFile", NeedsNode: true, Doc: "write a text to a file",
		Params: []step.Param{{Name: "file", Type: step.Str, Required: true}, {Name: "text", Type: step.Str, Required: true}, {Name: "encoding", Type: step.Str}}}
}

// Run implements step.Step.
func (WriteFile) Run(t step.Thread, c *step.Call) (value.Value, error) {
	code, err := codecFor(c.String("encoding"))
	if err != nil {
		return nil, err
	}
	data, err := code.encode(c.String("text"))
	if err != nil {
		return nil, err
	}
	p := locate(t.Scope(), c.String("file"))
	_, err = effect(t, "writeFile", []string{c.String("file"), c.String("text")}, func(ctx context.Context, m agent.Machine) (any, error) {
		return nil, m.WriteFile(ctx, p.lease(), p.agent, data, 0o644)
	}, p.node)
	return nil, err
}

// FileExists is `fileExists 'pom.xml'`; a folder exists too.
type FileExists struct{}

// Spec implements step.Step.
func (FileExists) Spec() step.Spec {
	return step.Spec{Name: "fileExists", Sole: "file", NeedsNode: true, Doc: "whether a file or folder is there",
		Params: []step.Param{{Name: "file", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (FileExists) Run(t step.Thread, c *step.Call) (value.Value, error) {
	if c.String("file") == "" {
		t.Print("The fileExists step was called with a null or an empty string, so the current directory will be checked instead.")
	}
	p := locate(t.Scope(), c.String("file"))
	raw, err := effect(t, "fileExists", c.String("file"), func(ctx context.Context, m agent.Machine) (any, error) {
		_, err := m.Stat(ctx, p.lease(), p.agent)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return err == nil, err
	}, p.node)
	if err != nil {
		return nil, err
	}
	var there bool
	err = json.Unmarshal(raw, &there)
	return there, err
}

// Touch is `touch 'marker'`: an empty file, or the same bytes with a new time.
type Touch struct{}

// Spec implements step.Step.
func (Touch) Spec() step.Spec {
	return step.Spec{Name: "touch", Sole: "file", NeedsNode: true, Doc: "make a file, or give it the present time",
		Params: []step.Param{{Name: "file", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Touch) Run(t step.Thread, c *step.Call) (value.Value, error) {
	p := locate(t.Scope(), c.String("file"))
	_, err := effect(t, "touch", c.String("file"), func(ctx context.Context, m agent.Machine) (any, error) {
		data, err := m.ReadFile(ctx, p.lease(), p.agent, 0)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		mode := agent.FileInfo{Mode: 0o644}
		if err == nil {
			if mode, err = m.Stat(ctx, p.lease(), p.agent); err != nil {
				return nil, err
			}
		}
		return nil, m.WriteFile(ctx, p.lease(), p.agent, data, mode.Mode.Perm())
	}, p.node)
	return nil, err
}

// DeleteDir is `deleteDir()`: the current folder goes, or is emptied when it is the workspace.
type DeleteDir struct{}

// Spec implements step.Step.
func (DeleteDir) Spec() step.Spec {
	return step.Spec{Name: "deleteDir", NeedsNode: true, Doc: "delete the current folder and all that is in it"}
}

// Run implements step.Step.
func (DeleteDir) Run(t step.Thread, _ *step.Call) (value.Value, error) {
	p := locate(t.Scope(), "")
	_, err := effect(t, "deleteDir", p.agent, func(ctx context.Context, m agent.Machine) (any, error) {
		return nil, m.Remove(ctx, p.lease(), p.agent)
	}, p.node)
	return nil, err
}

// Dir is `dir('sub') { … }`: another current folder for its body. It is made by the first thing that writes into it.
type Dir struct{}

// Spec implements step.Step.
func (Dir) Spec() step.Spec {
	return step.Spec{Name: "dir", Sole: "path", NeedsNode: true, Block: true, Doc: "change the current folder for a body",
		Params: []step.Param{{Name: "path", Type: step.Str, Required: true}}}
}

// Run implements step.Step.
func (Dir) Run(t step.Thread, c *step.Call) (value.Value, error) {
	to, _ := executor.Locate(t.Scope(), c.String("path"))
	t.Print("Running in " + to)
	return t.With(func(s *step.Scope) { s.Dir = to }, func() (value.Value, error) {
		return t.Block("", func() (value.Value, error) { return t.Call(c.Body) })
	})
}

// Pwd is `pwd()`.
type Pwd struct{}

// Spec implements step.Step.
func (Pwd) Spec() step.Spec {
	return step.Spec{Name: "pwd", NeedsNode: true, Doc: "the current folder, or one for temporary files beside the workspace",
		Params: []step.Param{{Name: "tmp", Type: step.Boolean, Default: false}}}
}

// Run implements step.Step.
func (Pwd) Run(t step.Thread, c *step.Call) (value.Value, error) {
	if c.Bool("tmp") {
		return t.Scope().Node.Workspace.Tmp, nil
	}
	here, _ := executor.Locate(t.Scope(), "")
	return here, nil
}

// IsUnix is `isUnix()`.
type IsUnix struct{}

// Spec implements step.Step.
func (IsUnix) Spec() step.Spec {
	return step.Spec{Name: "isUnix", NeedsNode: true, Doc: "whether the machine is not a Windows one"}
}

// Run implements step.Step.
func (IsUnix) Run(t step.Thread, _ *step.Call) (value.Value, error) {
	return t.Scope().Node.OS != "windows", nil
}
