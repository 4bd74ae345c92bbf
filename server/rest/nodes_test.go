package rest_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/servertest"
)

// byCommand asks for a node whose agent is this test binary, started by a command of the controller.
func byCommand(t testing.TB, name string) api.NodeCreate {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return api.NodeCreate{Name: name, Launcher: new("command"), LauncherConfig: &map[string]string{"command": "exec '" + self + "' agent --stdio --root '" + filepath.Join(t.TempDir(), "root") + "'"}}
}

func is(f *servertest.Farm, name, state string) {
	f.T.Helper()
	f.Await(name+" is "+state, func() bool {
		st, _ := f.Roster().Node(fleet.NodeName(name))
		return string(st.State) == state
	})
}

func kind(t testing.TB, err error, want fault.Kind, says string) {
	t.Helper()
	if err == nil || fault.Of(err) != want || !strings.Contains(err.Error(), says) {
		t.Errorf("%v (%v), expected %v and %q", err, fault.Of(err), want, says)
	}
}

// The life of a node, by the API: S1-103 (by copying another), S1-104 (then its root), S1-76 (offline with a reason), S1-77 and S1-31
// (reconnected by hand), S3-10 (the agent is a process), S1-105 and S1-106 (its log).
func TestTheLifeOfANode(t *testing.T) {
	f := servertest.New(t)
	c, ctx := f.Client, f.Context()
	made, err := c.CreateNode(ctx, byCommand(t, "box"))
	if err != nil || made.Executors != 1 || made.Launcher != "command" || !made.Launches || made.LauncherConfig["command"] == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	is(f, "box", "online")
	n, err := c.Node(ctx, "box")
	if err != nil || n.Agent == nil || n.Agent.PID == 0 || n.Agent.Path == "" || n.OS == "" {
		t.Errorf("%+v, %v", n, err)
	}
	if got, err := c.TestNode(ctx, "box"); err != nil || !got.OK || !strings.Contains(got.Text, "Hello from") || got.Workspace == "" || !slices.Contains(got.Labels, n.OS) || got.Executors != n.CPUs {
		t.Errorf("%+v, %v", got, err)
	}
	if q := f.Queue().Snapshot(); len(q) != 0 {
		t.Errorf("the self-test leaves %+v", q)
	}
	if log, err := c.NodeLog(ctx, "box"); err != nil || !strings.Contains(log, "Starting") || !strings.Contains(log, "--stdio") {
		t.Errorf("%q, %v", log, err)
	}
	var hops []string
	if err := c.ExamineNode(ctx, "box", func(h api.NodeHop) error {
		if hops = append(hops, h.Name); !h.OK {
			t.Errorf("%+v", h)
		}
		return nil
	}); err != nil || !slices.Contains(hops, "link") || !slices.Contains(hops, "work") {
		t.Errorf("%v, %v", hops, err)
	}
	changed, err := c.UpdateNode(ctx, "box", api.NodeUpdate{Description: new("d"), Executors: new(3), Labels: &[]string{"linux", "old"}, Mode: new("exclusive"),
		Env: &map[string]string{"A": "b"}, Tools: &map[string]string{"jdk": "/opt/jdk"}, Retention: &api.NodeRetention{Kind: "demand", Config: map[string]string{"idleDelay": "1h"}},
		Monitors: &map[string]api.NodeLimit{"disk": {Action: "warn", Bad: 1}}})
	if err != nil || changed.Executors != 3 || changed.Mode != "exclusive" || changed.Env["A"] != "b" || changed.Tools["jdk"] != "/opt/jdk" || changed.Retention.Kind != "demand" ||
		changed.Monitors["disk"].Action != "warn" || changed.LauncherConfig["command"] == "" {
		t.Errorf("%+v, %v", changed, err)
	}
	other := byCommand(t, "copy")
	twin, err := c.CreateNode(ctx, api.NodeCreate{Name: "copy", CopyFrom: "box", LauncherConfig: other.LauncherConfig, RemoteRoot: new(""), Retention: &api.NodeRetention{Kind: "always"}, Offline: new("not yet")})
	if err != nil || twin.Executors != 3 || twin.Tools["jdk"] != "/opt/jdk" || twin.Description != "d" || !twin.TakenOff || !strings.Contains(twin.Offline.Text, "not yet") {
		t.Errorf("%+v, %v", twin, err)
	}
	is(f, "copy", "suspended")
	if err := c.NodeOnline(ctx, "copy"); err != nil {
		t.Error(err)
	}
	is(f, "copy", "online")
	if err := c.DisconnectNode(ctx, "copy", api.NodeDisconnect{Reason: "new rack"}); err != nil {
		t.Error(err)
	}
	is(f, "copy", "offline")
	if n, err := c.Node(ctx, "copy"); err != nil || n.Offline == nil || n.Offline.By != "admin" || !strings.Contains(n.Offline.Text, "new rack") {
		t.Errorf("%+v, %v", n.Offline, err)
	}
	third := byCommand(t, "third")
	if _, err := c.CreateNode(ctx, api.NodeCreate{Name: "third", CopyFrom: "copy", LauncherConfig: third.LauncherConfig}); err != nil {
		t.Error(err)
	}
	is(f, "third", "online") // that a person disconnected the other is not its own
	if err := c.DeleteNode(ctx, "third"); err != nil {
		t.Error(err)
	}
	if err := c.ReconnectNode(ctx, "copy"); err != nil {
		t.Error(err)
	}
	is(f, "copy", "online")
	f.Await("the disconnection in its history", func() bool {
		rs, err := c.NodeHistory(ctx, "copy", 10)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(rs, func(r api.NodeRecord) bool { return r.Offline != nil && strings.Contains(r.Offline.Text, "new rack") })
	})
	if _, err := c.NodeSeries(ctx, "copy", "response", 2); err != nil {
		t.Error(err)
	}
	if err := c.DeleteNode(ctx, "copy"); err != nil {
		t.Error(err)
	}
	if _, err := c.Node(ctx, "copy"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// What a node cannot be is refused with the field and what to do.
func TestWhatANodeCannotBe(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	c, ctx := f.Client, f.Context()
	create := func(n api.NodeCreate) error { _, err := c.CreateNode(ctx, n); return err }
	kind(t, create(api.NodeCreate{Name: "a/b"}), fault.Invalid, "not allowed")
	kind(t, create(api.NodeCreate{Name: "n1"}), fault.Conflict, "already")
	kind(t, create(api.NodeCreate{Name: "x", CopyFrom: "y"}), fault.NotFound, `"y"`)
	kind(t, create(api.NodeCreate{Name: "x", CopyFrom: "n1"}), fault.Invalid, "--executors")
	kind(t, create(api.NodeCreate{Name: "x", Launcher: new("pigeon")}), fault.Invalid, "expected one of")
	kind(t, create(api.NodeCreate{Name: "x", Launcher: new("command")}), fault.Invalid, "launcher.config.command")
	kind(t, create(api.NodeCreate{Name: "x", Launcher: new("ssh"), LauncherConfig: &map[string]string{"hots": "h"}}), fault.Invalid, "launcher.config.hots")
	kind(t, create(api.NodeCreate{Name: "x", Retention: &api.NodeRetention{Kind: "odd"}}), fault.Invalid, "retention")
	kind(t, create(api.NodeCreate{Name: "x", Monitors: &map[string]api.NodeLimit{"odd": {Bad: 1}}}), fault.Invalid, "odd")
	kind(t, create(api.NodeCreate{Name: "x", Labels: &[]string{""}}), fault.Invalid, "labels[0]")
	kind(t, create(api.NodeCreate{Name: "x", Env: &map[string]string{"A=": "b"}}), fault.Invalid, "env")
	_, err := c.UpdateNode(ctx, "n1", api.NodeUpdate{Launcher: new("inbound")})
	kind(t, err, fault.Invalid, "launcher")
	if ns, err := c.Nodes(ctx); err != nil || len(ns) != 1 {
		t.Errorf("%v, %v", ns, err)
	}
}

// Threats T5 and T23: a command on the controller's machine is an admin's to set, and to see.
func TestOnlyAdminsSayHowNodesAreReached(t *testing.T) {
	f := servertest.New(t)
	if _, err := f.Client.CreateNode(f.Context(), byCommand(t, "box")); err != nil {
		t.Fatal(err)
	}
	tok, err := f.Client.CreateToken(f.Context(), api.TokenCreate{Name: "w", Scopes: []string{string(auth.Read), string(auth.Write)}})
	if err != nil {
		t.Fatal(err)
	}
	w, ctx := f.As(tok.Secret), f.Context()
	n, err := w.Node(ctx, "box")
	if err != nil || n.LauncherConfig != nil {
		t.Errorf("%+v, %v", n, err)
	}
	for what, err := range map[string]error{
		"create": second(w.CreateNode(ctx, byCommand(t, "other"))), "update": second(w.UpdateNode(ctx, "box", api.NodeUpdate{LauncherConfig: &map[string]string{"command": "id"}})),
		"order": second(w.OrderNodes(ctx, api.NodeOrder{Verb: "offline", Where: "box"})), "disconnect": w.DisconnectNode(ctx, "box", api.NodeDisconnect{}),
		"reconnect": w.ReconnectNode(ctx, "box"), "test": second(w.TestNode(ctx, "box")), "examine": w.ExamineNode(ctx, "box", func(api.NodeHop) error { return nil })} {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// S1-78: many nodes by an expression that knows labels and states.
func TestManyNodesAtOnce(t *testing.T) {
	f := servertest.New(t, "linux", "linux old", "windows old")
	f.Online()
	c, ctx := f.Client, f.Context()
	if _, err := c.CreateNode(ctx, api.NodeCreate{Name: "gone", Labels: &[]string{"linux", "old"}}); err != nil {
		t.Fatal(err)
	}
	order := func(verb, where string, dry bool) api.NodesOrdered {
		t.Helper()
		r, err := c.OrderNodes(ctx, api.NodeOrder{Verb: verb, Where: where, Reason: "kernel", DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := order("offline", "linux && old", true); strings.Join(r.Matched, " ") != "gone n2" || len(r.Done) != 0 {
		t.Errorf("%+v", r)
	}
	is(f, "n2", "online")
	if r := order("offline", "linux && old && !offline", false); strings.Join(r.Done, " ") != "n2" {
		t.Errorf("%+v", r)
	}
	is(f, "n2", "suspended")
	if ns, err := c.Nodes(ctx, "suspended && idle"); err != nil || len(ns) != 1 || ns[0].Name != "n2" || ns[0].Offline.Text != "Disconnected by admin : kernel" {
		t.Errorf("%+v, %v", ns, err)
	}
	if r := order("online", "state:suspended", false); strings.Join(r.Done, " ") != "n2" {
		t.Errorf("%+v", r)
	}
	if r := order("disconnect", "connected && old", false); strings.Join(r.Done, " ") != "n2 n3" {
		t.Errorf("%+v", r)
	}
	is(f, "n3", "offline")
	if r := order("reconnect", "offline && !gone", false); strings.Join(r.Done, " ") != "n2 n3" {
		t.Errorf("%+v", r)
	}
	f.Online()
	if r := order("drain", "mac", false); len(r.Matched) != 0 {
		t.Errorf("%+v", r)
	}
	for says, o := range map[string]api.NodeOrder{"one of them": {Verb: "offline"}, "where": {Verb: "offline", Where: "a &&"}, "verb": {Verb: "explode", Where: "linux"}} {
		_, err := c.OrderNodes(ctx, o)
		kind(t, err, fault.Invalid, says)
	}
	_, err := c.OrderNodes(ctx, api.NodeOrder{Verb: "offline", Names: []string{"n1", "n9"}})
	kind(t, err, fault.NotFound, "n9")
	is(f, "n1", "online")
}

// What examines a node that dials, or one that is not there, says what to look at.
func TestExaminingWhatIsNotThere(t *testing.T) {
	f := servertest.New(t)
	c, ctx := f.Client, f.Context()
	if _, err := c.CreateNode(ctx, api.NodeCreate{Name: "dials"}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Node(ctx, "dials"); err != nil || n.Launches { // S1-34: nothing here can start it
		t.Errorf("%+v, %v", n, err)
	}
	var last api.NodeHop
	if err := c.ExamineNode(ctx, "dials", func(h api.NodeHop) error { last = h; return nil }); err != nil || last.OK || last.Name != "credential" || !strings.Contains(last.Hint, "outwork node token --node 'dials'") {
		t.Errorf("%+v, %v", last, err)
	}
	_, err := c.TestNode(ctx, "dials")
	kind(t, err, fault.Conflict, "offline")
	kind(t, c.ExamineNode(ctx, "none", nil), fault.NotFound, "none")
	_, err = c.CreateNode(ctx, api.NodeCreate{Name: "s", Launcher: new("ssh"), LauncherConfig: &map[string]string{"host": "127.0.0.1", "port": "1", "password": "env:NO_SUCH_VARIABLE"}})
	kind(t, err, fault.Invalid, "NO_SUCH_VARIABLE")
}

// S1-106: the log goes on while somebody reads it, over connections.
func TestANodesLogIsFollowed(t *testing.T) {
	f := servertest.New(t, "linux")
	f.Online()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	r, err := f.Client.FollowNodeLog(ctx, "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found := make(chan error, 1)
	go func() {
		var text strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			text.Write(buf[:n])
			if strings.Count(text.String(), "Starting") > 1 {
				found <- nil
				return
			}
			if err != nil {
				found <- err
				return
			}
		}
	}()
	if err := f.Client.ReconnectNode(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	if err := <-found; err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); err == nil {
		t.Error("the log ends in good order although nobody ended it")
	}
}
