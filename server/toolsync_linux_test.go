package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

// toolFarm is a controller with tools, and nodes with these labels.
func toolFarm(t testing.TB, config string, nodes ...string) *servertest.Farm {
	t.Helper()
	cfg := servertest.Config(t)
	for i, labels := range nodes {
		cfg.Nodes = append(cfg.Nodes, server.Local{Name: fleet.NodeName(fmt.Sprintf("n%d", i+1)), Labels: strings.Fields(labels), Executors: 2})
	}
	cfg.ConfigFile = filepath.Join(t.TempDir(), "farm.yaml")
	put(t, cfg.ConfigFile, config, 0o600)
	return servertest.Start(t, cfg)
}

func put(t testing.TB, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// fill makes n small files in folders, two in three of which are different.
func fill(t testing.TB, dir string, n int) {
	t.Helper()
	for i := range n {
		put(t, filepath.Join(dir, fmt.Sprintf("d%03d/f%05d", i/50, i)), strings.Repeat(fmt.Sprintf("line %d\n", i*2/3), 1+i%200), 0o644)
	}
}

// synced waits until a node's tools are, and returns what is known of them.
func synced(f *servertest.Farm, node string, ok func(api.NodeTools) bool) api.Node {
	f.T.Helper()
	var n api.Node
	f.AwaitTools("the tools of "+node, func() bool {
		var err error
		if n, err = f.Client.Node(f.Context(), node); err != nil && !fault.Is(err, fault.NotFound) { // not yet there
			f.T.Fatal(err)
		}
		return n.ToolSync != nil && ok(*n.ToolSync)
	})
	return n
}

func whole(t api.NodeTools) bool { return t.State == "synced" }

// sync has all nodes synced and returns what came of the first.
func sync1(f *servertest.Farm) api.NodeTools {
	f.T.Helper()
	rs, err := f.Client.SyncTools(f.Context(), api.ToolsSync{})
	if err != nil || len(rs) == 0 || rs[0].Tools == nil {
		f.T.Fatalf("%+v %v", rs, err)
	}
	return *rs[0].Tools
}

func console(f *servertest.Farm, b api.Build) (string, error) {
	r, err := f.Client.Log(f.Context(), b.Job, b.Number, 0, false)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// differences are what rsync -a would still have to do.
func differences(t *testing.T, from, to string, more ...string) string {
	t.Helper()
	args := append([]string{"-ani", "--delete"}, more...)
	out, err := exec.Command(need.Program(t, "rsync", "rsync"), append(args, from+"/", to+"/")...).CombinedOutput()
	if err != nil {
		t.Fatalf("rsync: %v: %s", err, out)
	}
	return string(out)
}

// S1-58: ten thousand files, through an agent of its own process: the second time moves nothing, a change moves what changed, and rsync
// finds nothing left to do.
func TestToolsOfTenThousandFiles(t *testing.T) {
	from := t.TempDir()
	fill(t, from, 10_000)
	put(t, filepath.Join(from, "workspace/big"), "not for agents", 0o644)
	put(t, filepath.Join(from, ".ssh/id_rsa"), "secret", 0o600)
	put(t, filepath.Join(from, ".ssh/known_hosts"), "hosts", 0o600)
	f := toolFarm(t, fmt.Sprintf("version: 1\ntools:\n  - from: %s\n    exclude: [workspace, .ssh/id_*]\n", from), "")
	n := synced(f, "n1", whole)
	left := func() string {
		return differences(t, from, n.ToolSync.Path, "--exclude=workspace", "--exclude=.ssh/id_*")
	}
	if n.ToolSync.Files != 10_001 || n.ToolSync.Path != filepath.Join(n.Agent.Root, "tools") {
		t.Errorf("%+v", n.ToolSync)
	}
	if d := left(); d != "" {
		t.Errorf("rsync finds:\n%.2000s", d)
	}
	for _, name := range []string{"workspace", ".ssh/id_rsa"} {
		if _, err := os.Lstat(filepath.Join(n.ToolSync.Path, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was sent: %v", name, err)
		}
	}
	if again := sync1(f); again.Changed || again.Fetched != 0 || again.Moved != 0 {
		t.Errorf("the second sync: %+v", again)
	}
	folders, err := f.Client.Tools(f.Context())
	if err != nil || len(folders) != 1 || folders[0].Files != 10_001 || folders[0].Error != "" {
		t.Errorf("%+v %v", folders, err)
	}

	put(t, filepath.Join(from, "d007/f00352"), "changed", 0o755)
	if one := sync1(f); !one.Changed || one.Fetched != 1 || one.Moved != 7 {
		t.Errorf("one file changed: %+v", one)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(from, "d100")), os.Remove(filepath.Join(from, "d007/f00353"))); err != nil {
		t.Fatal(err)
	}
	if fewer := sync1(f); !fewer.Changed || fewer.Fetched != 0 || fewer.Files != 9950 {
		t.Errorf("files deleted: %+v", fewer)
	}
	if d := left(); d != "" {
		t.Errorf("rsync finds at the end:\n%.2000s", d)
	}
}

// S1-55, S1-56: each node gets the folder that is for it, and the links lead there.
func TestToolsOfTwoKindsOfMachine(t *testing.T) {
	from := t.TempDir()
	for _, kind := range []string{"sparc", "x86"} {
		put(t, filepath.Join(from, kind, "java-1.8/bin/java"), "#!/bin/sh\necho java for "+kind+"\n", 0o755)
	}
	put(t, filepath.Join(from, "ant-1.5/bin/ant"), "ant", 0o755)
	for name, target := range map[string]string{"native": "sparc", "java-1.8": "native/java-1.8", "out": "../../etc", "ring": "ring"} {
		if err := os.Symlink(target, filepath.Join(from, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := toolFarm(t, fmt.Sprintf("version: 1\ntools:\n  - name: site\n    from: %s\n    native: {sparc: one, x86: two}\n", from), "one", "two")
	for node, kind := range map[string]string{"n1": "sparc", "n2": "x86"} {
		n := synced(f, node, whole)
		warned := strings.Join(n.ToolSync.Warnings, "\n")
		if n.ToolSync.Files != 2 || !strings.Contains(warned, "out: ") || !strings.Contains(warned, "ring: ") {
			t.Errorf("%s: %+v", node, n.ToolSync)
		}
		b := f.Run("java-"+node, fmt.Sprintf("node('%s') { sh '\"$OUTWORK_TOOLS\"/java-1.8/bin/java; ls \"$OUTWORK_TOOLS\"' }", node))
		text, err := console(f, b)
		if err != nil || b.Result != "SUCCESS" || !strings.Contains(text, "java for "+kind) {
			t.Errorf("%s: %s %v\n%s", node, b.Result, err, text)
		}
	}
	rs, err := f.Client.NodeHistory(f.Context(), "n1", 10)
	if err != nil || len(rs) == 0 || rs[0].State != "online" || rs[0].Offline == nil || !strings.Contains(rs[0].Offline.Text, "ring") {
		t.Errorf("history: %+v %v", rs, err)
	}
}

// A build keeps the tools that it began with while others come, and its next build gets those.
func TestABuildKeepsItsTools(t *testing.T) {
	from, signs := t.TempDir(), t.TempDir()
	tool := filepath.Join(from, "tool")
	put(t, tool, "#!/bin/sh\necho tool one\n", 0o755)
	f := toolFarm(t, "version: 1\ntools:\n  - from: "+from+"\n", "")
	n := synced(f, "n1", whole)
	if err := unix.Mkfifo(filepath.Join(signs, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(signs, "begun"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Job("job", fmt.Sprintf(`node { sh '"$OUTWORK_TOOLS"/tool; echo > %[1]s/begun; read x < %[1]s/go; "$OUTWORK_TOOLS"/tool; echo at "$OUTWORK_TOOLS"'; sh '"$OUTWORK_TOOLS"/tool' }`, signs))
	b := f.Build("job")
	if _, err := os.ReadFile(filepath.Join(signs, "begun")); err != nil {
		t.Fatal(err)
	}
	put(t, tool, "#!/bin/sh\necho tool two\n", 0o755)
	if done := sync1(f); !done.Changed {
		t.Errorf("%+v", done)
	}
	if text, err := os.ReadFile(filepath.Join(n.ToolSync.Path, "tool")); err != nil || !strings.Contains(string(text), "two") {
		t.Errorf("the newest tools: %s %v", text, err)
	}
	put(t, filepath.Join(signs, "go"), "\n", 0o600)
	b = f.Ended(b)
	text, err := console(f, b)
	if err != nil || b.Result != "SUCCESS" || strings.Count(text, "\ntool one") != 3 || strings.Contains(text, "\ntool two") {
		t.Errorf("%s %v\n%s", b.Result, err, text)
	}
	again := f.Run("again", `node { sh '"$OUTWORK_TOOLS"/tool' }`)
	if text, err := console(f, again); err != nil || !strings.Contains(text, "\ntool two") {
		t.Errorf("the next build: %v\n%s", err, text)
	}
}

// The directive and the step find what is mirrored, and what a node has of its own below it.
func TestToolsOfAPipeline(t *testing.T) {
	from := t.TempDir()
	put(t, filepath.Join(from, "jdk-21/bin/java"), "#!/bin/sh\necho java of $JAVA_HOME\n", 0o755)
	put(t, filepath.Join(from, "gradle-8/bin/gradle"), "#!/bin/sh\necho gradle of $GRADLE_HOME\n", 0o755)
	f := toolFarm(t, "version: 1\ntools:\n  - from: "+from+"\n", "")
	synced(f, "n1", whole)
	own := map[string]string{"the gradle": "gradle-8"}
	if _, err := f.Client.UpdateNode(f.Context(), "n1", api.NodeUpdate{Tools: &own}); err != nil {
		t.Fatal(err)
	}
	b := f.Run("tools", `pipeline { agent any
  tools { jdk 'jdk-21'; maven 'no such' }
  stages { stage('A') {
             tools { gradle 'the gradle' }
             steps { sh 'java; gradle'; echo "found ${tool 'jdk-21'}" } }
           stage('B') { steps { sh 'java; test -z "$GRADLE_HOME"'; script { try { tool 'absent' } catch (e) { echo "caught: ${e.message}" } } } } } }`)
	text, err := console(f, b)
	for _, want := range []string{"(Declarative: Tool Install)", "No tool named no such found on n1: it has gradle-8, jdk-21, the gradle. What is on its PATH is used.",
		"/jdk-21\n", "gradle of ", "found /", "caught: No tool named absent found on n1"} {
		if err != nil || b.Result != "SUCCESS" || !strings.Contains(text, want) {
			t.Errorf("%s %v: want %q in\n%s", b.Result, err, want, text)
		}
	}
}

// A node whose tools are required takes no work before it has them, however often it connects; one whose are not takes work, and says
// what is wrong.
func TestRequiredTools(t *testing.T) {
	from := filepath.Join(t.TempDir(), "later")
	f := toolFarm(t, fmt.Sprintf("version: 1\ntools:\n  - {name: must, from: %s, select: strict, required: true}\n  - {name: may, from: %[1]s, select: easy}\n", from), "strict", "easy")
	failed := func(n api.NodeTools) bool { return n.State == "failed" }
	strict, easy := synced(f, "n1", failed), synced(f, "n2", failed)
	f.Await("the node whose tools are required", func() bool {
		st, _ := f.Roster().Node(fleet.NodeName(strict.Name))
		return st.State == "suspended" && st.Cause.Kind == "tools" && strings.Contains(st.Cause.Text, from)
	})
	f.Await("the node whose tools are not required", func() bool { st, _ := f.Roster().Node(fleet.NodeName(easy.Name)); return st.State == "online" })
	if text, err := f.Client.NodeLog(f.Context(), "n2"); err != nil || !strings.Contains(text, "Warning: The tools could not be synced") {
		t.Errorf("log: %v\n%s", err, text)
	}
	if rs, err := f.Client.SyncTools(f.Context(), api.ToolsSync{Where: "strict"}); err != nil || len(rs) != 1 || rs[0].Tools.State != "failed" {
		t.Errorf("%+v %v", rs, err)
	}
	put(t, filepath.Join(from, "tool"), "tool", 0o755)
	if rs, err := f.Client.SyncTools(f.Context(), api.ToolsSync{Names: []string{"n1"}}); err != nil || len(rs) != 1 || rs[0].Tools.State != "synced" {
		t.Errorf("%+v %v", rs, err)
	}
	f.Online()
	if err := syscall.Kill(strict.Agent.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.Await("the next session", func() bool {
		st, _ := f.Roster().Node("n1")
		return st.Session > strict.Session && st.State == "online"
	})
	if n := synced(f, "n1", whole); n.ToolSync.Changed {
		t.Errorf("nothing was to do after the new connection: %+v", n.ToolSync)
	}
}

// What is not the agent's own is not touched, and the node says so.
func TestToolsOfSomebodyElse(t *testing.T) {
	from := t.TempDir()
	put(t, filepath.Join(from, "tool"), "tool", 0o755)
	f := toolFarm(t, "version: 1\n", "")
	f.Online()
	n, err := f.Client.Node(f.Context(), "n1")
	if err != nil || n.ToolSync != nil {
		t.Fatalf("%+v %v", n, err)
	}
	put(t, filepath.Join(n.Agent.Root, "tools/mine"), "mine", 0o644)
	put(t, f.Config.ConfigFile, "version: 1\ntools: [{from: "+from+"}]\n", 0o600)
	if err := f.Reload(f.Context()); err != nil {
		t.Fatal(err)
	}
	got := synced(f, "n1", func(n api.NodeTools) bool { return n.State == "failed" })
	if !strings.Contains(got.ToolSync.Error, "move it away") {
		t.Errorf("%+v", got.ToolSync)
	}
	if text, err := os.ReadFile(filepath.Join(n.Agent.Root, "tools/mine")); string(text) != "mine" {
		t.Errorf("%q %v", text, err)
	}
}

// F1: an agent killed in the middle of a sync leaves the tools as they were, and its next one goes on from there.
func TestAgentKilledInASync(t *testing.T) {
	from := t.TempDir()
	put(t, filepath.Join(from, "old"), "old", 0o644)
	f := toolFarm(t, "version: 1\ntools: [{from: "+from+"}]\n", "")
	own, files, n := "", 1, api.Node{}
	for caught := false; !caught; files += 2_000 {
		if files > 10_000 {
			t.Fatal("every sync was over before its agent was killed")
		}
		n = synced(f, "n1", func(t api.NodeTools) bool { return whole(t) && t.Files == files })
		own = filepath.Join(n.Agent.Root, ".outwork/tools")
		fill(t, filepath.Join(from, fmt.Sprint("more", files)), 2_000)
		caught = killInASync(f, n, own)
		f.Await("the next session", func() bool {
			st, _ := f.Roster().Node("n1")
			return st.Session > n.Session && st.State == "online"
		})
	}
	if text, err := os.ReadFile(filepath.Join(n.ToolSync.Path, "old")); string(text) != "old" {
		t.Errorf("%q %v", text, err)
	}
	after := synced(f, "n1", func(t api.NodeTools) bool { return whole(t) && t.Files == files })
	if d := differences(t, from, after.ToolSync.Path); d != "" {
		t.Errorf("rsync finds:\n%.2000s", d)
	}
	parts, err := filepath.Glob(filepath.Join(own, "v", "*.part"))
	if _, gone := os.Stat(filepath.Join(own, "fetched")); err != nil || len(parts) != 0 || !errors.Is(gone, fs.ErrNotExist) {
		t.Errorf("left over: %v %v %v", parts, err, gone)
	}
}

// killInASync has a node synced and kills its agent when that has begun to fetch. It reports whether the sync was not over by then.
func killInASync(f *servertest.Farm, n api.Node, own string) bool {
	f.T.Helper()
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		f.T.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, own, unix.IN_CREATE); err != nil {
		f.T.Fatal(err)
	}
	ended, ctx := make(chan bool, 1), f.Context()
	go func() {
		rs, err := f.Client.SyncTools(ctx, api.ToolsSync{})
		if err != nil {
			f.T.Error(err)
		}
		ended <- err != nil || rs[0].Tools.State == "failed"
	}()
	for buf, seen := make([]byte, 64<<10), false; !seen; {
		k, err := unix.Read(watch, buf)
		if err != nil && !errors.Is(err, unix.EINTR) {
			f.T.Fatal(err)
		}
		seen = bytes.Contains(buf[:max(k, 0)], []byte("fetched"))
	}
	if err := syscall.Kill(n.Agent.PID, syscall.SIGKILL); err != nil {
		f.T.Fatal(err)
	}
	return <-ended
}

// S1-59: several nodes at once, and a folder that people fill themselves is left alone.
func TestToolsOfManyNodes(t *testing.T) {
	from := t.TempDir()
	fill(t, from, 100)
	f := toolFarm(t, "version: 1\ntools: [{from: "+from+", to: site/all, delete: false}]\n", "", "", "", "")
	for _, node := range []string{"n1", "n2", "n3", "n4"} {
		n := synced(f, node, whole)
		put(t, filepath.Join(n.ToolSync.Path, "site/all/own"), node, 0o644)
	}
	put(t, filepath.Join(from, "one/more"), "more", 0o644)
	begun := time.Now()
	rs, err := f.Client.SyncTools(f.Context(), api.ToolsSync{Where: "online"})
	if err != nil || len(rs) != 4 {
		t.Fatalf("%+v %v", rs, err)
	}
	t.Logf("4 nodes in %v", time.Since(begun))
	for _, r := range rs {
		if r.Tools.State != "synced" || r.Tools.Fetched != 1 {
			t.Errorf("%s: %+v", r.Node, r.Tools)
		}
		if text, err := os.ReadFile(filepath.Join(r.Tools.Path, "site/all/own")); string(text) != r.Node {
			t.Errorf("%s: what was there of its own: %q %v", r.Node, text, err)
		}
		if text, err := os.ReadFile(filepath.Join(r.Tools.Path, "site/all/one/more")); string(text) != "more" {
			t.Errorf("%s: %q %v", r.Node, text, err)
		}
	}
}
