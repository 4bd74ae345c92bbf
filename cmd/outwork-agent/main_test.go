package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/outwork-build/outwork/"

// linked are the packages of this module that the agent may link.
var linked = []string{
	"agent", "agent/ant", "agent/host", "agent/host/shim", "agent/host/tools", "agent/remote", "agent/serve", "agent/service", "agent/update",
	"api", "api/agentpb",
	"cas", "cas/remote", "cas/tree",
	"cmd/outwork-agent",
	"internal/connect", "internal/durable", "internal/fault", "internal/lifecycle", "internal/privacy", "internal/version",
	"wire", "wire/mux", "wire/rpc", "wire/stdio", "wire/tcp", "wire/text", "wire/websocket",
}

// foreign are the modules it may link.
var foreign = []string{
	"github.com/bazelbuild/remote-apis", "github.com/coder/websocket", "github.com/google/uuid", "github.com/hashicorp/yamux",
	"github.com/shirou/gopsutil/v4", "golang.org/x/net", "golang.org/x/sync", "golang.org/x/sys", "golang.org/x/term", "golang.org/x/text",
	"google.golang.org/genproto/googleapis/api", "google.golang.org/genproto/googleapis/bytestream", "google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc", "google.golang.org/protobuf", "cloud.google.com/go/longrunning",
}

func TestWhatTheAgentLinks(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{.Module.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path, mod, _ := strings.Cut(strings.TrimSpace(line), " ")
		if own, ok := strings.CutPrefix(path, module); ok {
			if !slices.Contains(linked, own) {
				t.Errorf("the agent links %s: if that is meant, add it to the list", own)
			}
		} else if !slices.Contains(foreign, mod) {
			t.Errorf("the agent links %s of %s: if that is meant, add the module to the list", path, mod)
		}
	}
}

func TestProgram(t *testing.T) {
	bin := t.TempDir() + "/outwork-agent"
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cases := []struct {
		name string
		args []string
		env  []string
		code int
		says string
	}{
		{name: "help", args: []string{"--help"}, code: 0, says: "outwork-agent --url https://ci.example.org --token"},
		{name: "version", args: []string{"--version"}, code: 0, says: "\n"},
		{name: "no url", code: 2, says: "--url is missing"},
		{name: "bad url", args: []string{"--url", "ci.example.org"}, code: 2, says: `"ci.example.org": expected http://HOST`},
		{name: "bad url in the environment", env: []string{"OUTWORK_URL=ftp://x"}, code: 2, says: `"ftp://x"`},
		{name: "bad number in the environment", env: []string{"OUTWORK_EXECUTORS=many"}, code: 2, says: "OUTWORK_EXECUTORS"},
		{name: "unknown flag", args: []string{"--lables", "x"}, code: 2, says: "lables"},
		{name: "argument", args: []string{"x"}, code: 2, says: `unexpected argument "x"`},
		{name: "no token", args: []string{"--url", "http://127.0.0.1:1"}, code: 2, says: "give it a --token"},
		{name: "both", args: []string{"--url", "http://127.0.0.1:1", "--stdio"}, code: 2, says: "expected one of them"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(bin, c.args...)
			cmd.Env = append(os.Environ(), append(c.env, "OUTWORK_ROOT="+t.TempDir())...)
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.says) {
				t.Errorf("exit %d (%v), %s\nwant %d and %q", code, err, out, c.code, c.says)
			}
		})
	}
}
