package reapi_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/cas/httpcache"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/internal/need"
)

const bazelBuild = `
genrule(name = "a", outs = ["a.txt"], cmd = "echo %[1]s > $@")
genrule(name = "b", srcs = [":a"], outs = ["b.txt"], cmd = "cat $(SRCS) $(SRCS) > $@")
genrule(name = "c", srcs = [":a", ":b"], outs = ["c.txt", "c2.txt"], cmd = "cat $(SRCS) > $(location c.txt); head -c 5000000 /dev/zero > $(location c2.txt)")
`

// A real Bazel, over both protocols: what one machine built, the next one gets.
func TestBazel(t *testing.T) {
	bazel := need.Program(t, "bazel-bootstrap", "bazel")
	store, err := disk.Open(disk.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	face := reapi.New(reapi.Config{Store: store, Actions: store})
	face.Register(srv)
	go srv.Serve(l)
	defer face.Close()
	defer srv.Stop()
	web := httptest.NewServer(httpcache.New(httpcache.Config{Store: store, Actions: store}))
	defer web.Close()

	work, root := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("WORKSPACE", "")
	run := func(args ...string) string {
		cmd := exec.Command(bazel, append([]string{"--bazelrc=/dev/null", "--output_user_root=" + root}, args...)...)
		cmd.Dir, cmd.Env = work, append(os.Environ(), "HOME="+root)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("bazel %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	defer exec.Command("chmod", "-R", "u+w", root).Run() // Bazel leaves folders that cannot be removed
	defer func() { run("shutdown") }()
	hits := regexp.MustCompile(`(\d+) remote cache hit`)
	for i, url := range []string{"grpc://" + l.Addr().String(), web.URL} {
		write("BUILD", fmt.Sprintf(bazelBuild, fmt.Sprint("round", i)))
		args := []string{"build", "//:all", "--color=no", "--curses=no", "--remote_cache=" + url, "--remote_instance_name=a/project",
			"--spawn_strategy=local", "--genrule_strategy=local", "--remote_upload_local_results=true", "--remote_timeout=20"}
		if out := run(args...); hits.MatchString(out) {
			t.Errorf("%s: a hit before anything was built:\n%s", url, out)
		}
		run("clean")
		out := run(args...)
		if m := hits.FindStringSubmatch(out); m == nil || m[1] != "3" {
			t.Errorf("%s: expected 3 remote cache hits:\n%s", url, out)
		}
		if info, err := os.Stat(filepath.Join(work, "bazel-bin", "c2.txt")); err != nil || info.Size() != 5_000_000 {
			t.Errorf("%s: the output: %v", url, err)
		}
	}
}
