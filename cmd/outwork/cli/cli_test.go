package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/outwork-build/outwork/internal/fault"
)

var update = flag.Bool("update", false, "write the documents anew")

func testEnv(vars map[string]string) (*env, *bytes.Buffer, *bytes.Buffer) {
	var out, errw bytes.Buffer
	return &env{in: strings.NewReader(""), out: &out, err: &errw, getenv: func(k string) string { return vars[k] }}, &out, &errw
}

func verbs(c *cobra.Command, each func(*cobra.Command)) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	each(c)
	for _, s := range c.Commands() {
		verbs(s, each)
	}
}

// TestTheCommandLineIsDocumented pairs docs/cli.md with the verbs and their flags: neither can change alone.
func TestTheCommandLineIsDocumented(t *testing.T) {
	e, _, _ := testEnv(map[string]string{"OUTWORK_DATA": "/var/lib/outwork"})
	var b strings.Builder
	b.WriteString("# Command line\n\nWritten from the program itself: `outwork VERB --help` shows the same. `outwork completion bash|zsh|fish|powershell` prints\nshell completion. Every verb takes `--json` (the API's JSON on standard output; `{}` from a verb that has nothing to show), `--url`, `--token` and `--config-file`.\n\n```\n" + exitCodes + "\n```\n")
	root := e.root()
	verbs(root, func(c *cobra.Command) {
		if !c.Runnable() || c.HasSubCommands() && (c.Example == "" || !c.HasParent()) {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", c.CommandPath(), strings.TrimSuffix(c.Short, "."))
		if c.Long != "" && c.Long != exitCodes {
			fmt.Fprintf(&b, "\n%s\n", c.Long)
		}
		fmt.Fprintf(&b, "\n    %s\n", c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
		}
		var rows []string
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				rows = append(rows, fmt.Sprintf("| `--%s` | %s |", f.Name, strings.ReplaceAll(f.Usage, "|", "\\|")))
			}
		})
		if len(rows) > 0 {
			fmt.Fprintf(&b, "\n| flag | |\n| --- | --- |\n%s\n", strings.Join(rows, "\n"))
		}
	})
	file := filepath.Join("..", "..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != b.String() {
		t.Fatalf("docs/cli.md is not what the verbs say: go test ./cmd/outwork/cli -update (%v)", err)
	}
}

func TestEveryVerbHasAnExample(t *testing.T) {
	e, _, _ := testEnv(nil)
	verbs(e.root(), func(c *cobra.Command) {
		if c.Runnable() && c.Example == "" && c.Name() != "exit-codes" && !c.HasSubCommands() {
			t.Errorf("%s has no example", c.CommandPath())
		}
	})
}

func TestWrongUseSaysWhatWasExpected(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"frobnicate"}, exitUsage, "unknown command"},
		{[]string{"job", "biuld"}, exitUsage, "did you mean build"},
		{[]string{"job", "list", "--frob"}, exitUsage, "--frob"},
		{[]string{"job", "create"}, exitUsage, "the job's name"},
		{[]string{"build", "show", "hello"}, exitUsage, "JOB#NUMBER"},
		{[]string{"build", "show", "hello#x"}, exitUsage, "expected a number"},
		{[]string{"run", "no-such-file"}, exitUsage, "no-such-file"},
		{[]string{"run", "--agents", "linux,,", "cli.go"}, exitUsage, "--agents"},
		{[]string{"job", "list"}, exitAuth, "outwork login"},
		{[]string{"job", "list", "--url", "ftp://x"}, exitUsage, "http://HOST:PORT"},
		{[]string{"job", "list", "--url", "http://127.0.0.1:1"}, exitUnavailable, "cannot reach the controller"},
		{[]string{"job", "list", "--url", "http://127.0.0.1:1", "--token", "@/no/such/token"}, exitUsage, "token file"},
		{[]string{"server", "--log-level", "loud"}, exitUsage, "--log-level"},
		{[]string{"server", "--data", "x", "--tls-cert", "y"}, exitUsage, "--tls-key"},
		{[]string{"agent"}, exitUsage, "url"},
	} {
		e, _, errw := testEnv(map[string]string{"OUTWORK_CONFIG": filepath.Join(t.TempDir(), "logins.json")})
		if code := run(context.Background(), c.args, e); code != c.code || !strings.Contains(errw.String(), c.says) {
			t.Errorf("outwork %s: exit %d, %q; expected %d and %q", strings.Join(c.args, " "), code, errw, c.code, c.says)
		}
	}
}

func TestEveryKindOfFailureHasItsExitCode(t *testing.T) {
	for k := fault.Internal; k <= fault.Canceled; k++ {
		code := exitCode(fault.New(k, "x"))
		if code == exitOK || !strings.Contains(exitCodes, fmt.Sprintf("\n  %-5d", code)) {
			t.Errorf("%s has exit code %d, which is not documented", k, code)
		}
	}
	if exitCode(nil) != exitOK || exitCode(errResult{"FAILURE"}) != exitFailed || exitCode(errInterrupted) != exitInterrupted {
		t.Error("results")
	}
}
