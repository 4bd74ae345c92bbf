package launchtest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/agent/serve"
)

// roleEnv makes the test binary the agent.
const roleEnv = "LAUNCHTEST_ROLE"

// Main is the TestMain of a package that calls Run.
func Main(m *testing.M) {
	host.MaybeShim()
	if os.Getenv(roleEnv) == "agent" {
		os.Exit(serve.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// Program is an agent's program as a launcher finds it on a machine: an executable file that takes the agent's flags, whatever
// the environment it is started in. It stands in a folder that anybody may read.
func Program(t testing.TB) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the agent's program of this suite is a shell script")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "outwork-agent")
	script := fmt.Sprintf("#!/bin/sh\n%s=agent exec %s \"$@\"\n", roleEnv, quote(self))
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
