package tool_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/step/tool"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

// mirror gives the world's machine a tool ant-1.9, and a link to it.
func mirror(t *testing.T, a hosttest.World) {
	t.Helper()
	text, err := cas.PutBytes(t.Context(), a.Blobs, []byte("#!/bin/sh\n"))
	if err != nil {
		t.Fatal(err)
	}
	root, manifests, err := tree.Build([]tree.Entry{{Path: "ant-1.9/bin/ant", Mode: 0o755, Digest: text}, {Path: "ant", Mode: fs.ModeSymlink, Link: "ant-1.9"}, {Path: "README", Mode: 0o644, Digest: text}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range manifests {
		if _, err := cas.PutBytes(t.Context(), a.Blobs, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Machine.(agent.Toolkeeper).SyncTools(t.Context(), agent.ToolsRequest{Root: root}); err != nil {
		t.Fatal(err)
	}
}

func TestTool(t *testing.T) {
	a := hosttest.New(t)
	mirror(t, a)
	on := a.Node().Scoped(func(s *step.Scope) {
		n := *s.Node
		n.Name, n.Tools = "n1", map[string]string{"jdk": "/opt/jdk-21", "ant-old": "ant-1.9", "ant": "/opt/ant"}
		s.Node = &n
	})
	tools := on.Scope().Node.Workspace.Tools
	for name, want := range map[string]string{"jdk": "/opt/jdk-21", "ant": "/opt/ant", "ant-old": filepath.Join(tools, "ant-1.9"), "ant-1.9": filepath.Join(tools, "ant-1.9")} {
		if got, err := on.Step(tool.Tool{}, steptest.Args{"name": name, "type": "ant"}, nil); err != nil || got != want {
			t.Errorf("%s: %v %v, want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"gcc", "README", "../x", "/etc", ".", ""} {
		_, err := on.Step(tool.Tool{}, steptest.Args{"name": name}, nil)
		if want := "No tool named " + name + " found on n1: it has ant, ant-1.9, ant-old, jdk"; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

func TestToolWithoutMirroredOnes(t *testing.T) {
	a := hosttest.New(t)
	on := a.Node()
	if _, err := on.Step(tool.Tool{}, steptest.Args{"name": "gcc"}, nil); err == nil || !strings.HasSuffix(err.Error(), "it has no tools") {
		t.Errorf("%v", err)
	}
	on = on.Scoped(func(s *step.Scope) {
		n := *s.Node
		n.Tools = map[string]string{"gcc": "gcc-14"}
		s.Node = &n
	})
	if _, err := on.Step(tool.Tool{}, steptest.Args{"name": "gcc"}, nil); err == nil || !strings.Contains(err.Error(), "below the tools that are mirrored to the node: there are none") {
		t.Errorf("%v", err)
	}
}
