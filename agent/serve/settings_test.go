package serve_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/internal/fault"
)

// What an agent is told on its command line and in its environment can be told it by its environment alone.
func TestSettings(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("owj_x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{"OUTWORK_URL": "http://environment", "OUTWORK_LABELS": "linux gpu", "HOME": "/root"}
	getenv := func(k string) string { return environ[k] }
	user := ""
	add := func(fs *flag.FlagSet) { fs.StringVar(&user, "user", "", "") }
	got, err := serve.Settings([]string{"--url", "http://flag", "-name", "n", "--tcp", "--update-wait=2m", "--token", "@" + token, "--user", "u"}, getenv, add)
	want := map[string]string{"OUTWORK_URL": "http://flag", "OUTWORK_LABELS": "linux gpu", "OUTWORK_NAME": "n", "OUTWORK_TCP": "true", "OUTWORK_UPDATE_WAIT": "2m", "OUTWORK_TOKEN": "owj_x"}
	if err != nil || !maps.Equal(got, want) || user != "u" {
		t.Errorf("%v, user %s, %v", got, user, err)
	}
	for args, says := range map[string]string{
		"--executors many": "executors", "--colour": "colour", "stray": `unexpected argument "stray"`, "--token @" + token + "-none": "--token",
	} {
		if _, err := serve.Settings(strings.Fields(args), getenv, add); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
	var c serve.Config
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	if err := c.Bind(fs, func(k string) string { return want[k] }); err != nil || !c.TCP || c.UpdateWait.String() != "2m0s" || len(c.Labels) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}
