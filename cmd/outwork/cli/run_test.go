package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/outwork-build/outwork/server/servertest"
)

// here runs `outwork run` in this process and returns its exit code; nothing may be left in the temporary folder.
func here(t *testing.T, args ...string) (code int, out, errw string) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	code, out, errw = newShell(t).try("", append([]string{"run"}, args...)...)
	nothingLeft(t, tmp)
	return code, out, errw
}

func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		if b, _ := os.ReadFile(p); bytes.Contains(b, []byte(tmp+"/")) {
			t.Errorf("process %s: %s", p, bytes.ReplaceAll(b, []byte{0}, []byte(" ")))
		}
	}
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRunOutsideOfGit(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "Jenkinsfile"), greets)
	code, out, errw := here(t, file, "-p", "WHO=you", "--artifacts", filepath.Join(dir, "kept"))
	if code != exitOK || !strings.Contains(out, "hello you") || !strings.HasSuffix(out, "Finished: SUCCESS\n") || !strings.Contains(errw, "✓ Greet") {
		t.Errorf("%d\n%s%s", code, out, errw)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "kept", "out", "f.txt")); err != nil || string(b) != "text\n" {
		t.Errorf("%q, %v", b, err)
	}
	code, out, _ = here(t, file, "--json")
	var b map[string]any
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != exitOK {
		t.Errorf("%d %v %s", code, err, out)
	}
}

func TestRunSaysHowItEnded(t *testing.T) {
	for result, script := range map[string]string{
		"FAILURE":  "node { sh 'exit 3' }",
		"UNSTABLE": "node { unstable 'so so' }",
		"ABORTED":  "timeout(time: 200, unit: 'MILLISECONDS') { node { sh 'sleep 60' } }",
	} {
		code, out, errw := here(t, write(t, filepath.Join(t.TempDir(), "Jenkinsfile"), script))
		if code != exitFailed || !strings.Contains(out, "Finished: "+result) {
			t.Errorf("%s: %d\n%s%s", result, code, out, errw)
		}
	}
	if code, _, errw := here(t, write(t, filepath.Join(t.TempDir(), "Jenkinsfile"), "pipeline {\n")); code == exitOK {
		t.Errorf("an unclosed brace: %d %s", code, errw)
	}
}

// Stages are told in the order of their end, not of their start.
func TestProgressIsInTheOrderOfTheEnds(t *testing.T) {
	script := `pipeline { agent none; stages { stage('Both') { parallel {
  stage('Slow') { agent any; steps { sh 'sleep 0.4' } }
  stage('Quick') { agent any; steps { echo 'x' } }
} }
  stage('Last') { steps { echo 'y' } } } }`
	_, out, errw := here(t, write(t, filepath.Join(t.TempDir(), "Jenkinsfile"), script))
	var names []string
	for _, m := range regexp.MustCompile(`✓ (\w+)`).FindAllStringSubmatch(errw, -1) {
		names = append(names, m[1])
	}
	if fmt.Sprint(names) != "[Quick Slow Both Last]" {
		t.Errorf("%q\n%s%s", names, errw, out)
	}
}

// checkout scm in a checkout is the working tree: changes and new files, but not what git ignores.
func TestRunInACheckout(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	file := write(t, filepath.Join(dir, "ci", "Jenkinsfile"), `pipeline { agent any; stages { stage('See') { steps { sh 'set +x; cat tracked.txt; ls; ls .git >/dev/null 2>&1 || true' } } } }`)
	write(t, filepath.Join(dir, ".gitignore"), "*.ignored\n")
	write(t, filepath.Join(dir, "tracked.txt"), "committed\n")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	write(t, filepath.Join(dir, "tracked.txt"), "changed since\n")
	write(t, filepath.Join(dir, "new.txt"), "x")
	write(t, filepath.Join(dir, "big.ignored"), "x")
	code, out, errw := here(t, file)
	if code != exitOK || !strings.Contains(out, "\nchanged since\n") || !strings.Contains(out, "\nnew.txt\n") || strings.Contains(out, "big.ignored") {
		t.Errorf("%d\n%s%s", code, out, errw)
	}
	if left, _ := os.ReadDir(dir); len(left) != 6 { // .git .gitignore ci tracked.txt new.txt big.ignored
		t.Errorf("the working tree has now %v", left)
	}
}

// interrupted runs a Jenkinsfile by a program of its own and sends it an interrupt at each of these lines of its output, which
// come in this order. It returns how the program ended, with nothing left behind, and how long it took after the last of them.
func interrupted(t *testing.T, script string, at ...string) (code int, out string, took time.Duration) {
	t.Helper()
	tmp := t.TempDir()
	cmd := exec.Command(os.Args[0], "run", write(t, filepath.Join(t.TempDir(), "Jenkinsfile"), script))
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+tmp)
	var errw bytes.Buffer
	cmd.Stderr = &errw
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(servertest.Patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	var text strings.Builder
	var last time.Time
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if len(at) > 0 && lines.Text() == at[0] {
			if at, last = at[1:], time.Now(); cmd.Process.Signal(os.Interrupt) != nil {
				t.Errorf("it ended at %q", lines.Text())
			}
		}
	}
	cmd.Wait()
	took = time.Since(last)
	if t.Failed() || len(at) > 0 {
		t.Errorf("not seen: %q\n%s%s", at, text.String(), errw.String())
	}
	nothingLeft(t, tmp)
	return cmd.ProcessState.ExitCode(), text.String(), took
}

// Ctrl-C aborts the build, lets post sections run, and leaves nothing.
func TestInterruptedRun(t *testing.T) {
	code, out, _ := interrupted(t, `pipeline { agent any
  stages { stage('s') { steps { sh 'echo begun; sleep 600' } } }
  post { aborted { echo 'cleaned up' }
    always { echo 'always' } } }`, "begun")
	if code != exitInterrupted || !strings.Contains(out, "\ncleaned up\n") || !strings.Contains(out, "\nalways\n") || !strings.HasSuffix(out, "\nFinished: ABORTED\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// A second Ctrl-C ends the post sections too, whatever they wait for, and leaves nothing either.
func TestInterruptedTwice(t *testing.T) {
	for what, waits := range map[string]string{"a process": "sh 'echo cleaning; trap \"\" TERM INT; sleep 600'", "a sleep": "echo 'cleaning'; sleep 600", "a machine": "echo 'cleaning'; node('gpu && windows') { }"} {
		t.Run(what, func(t *testing.T) {
			code, out, took := interrupted(t, `pipeline { agent any
  stages { stage('s') { steps { sh 'echo begun; sleep 600' } } }
  post { always { `+waits+` }
    aborted { echo 'too late' } } }`, "begun", "cleaning")
			if code != exitInterrupted || strings.Contains(out, "too late") || !strings.HasSuffix(out, "\nFinished: ABORTED\n") {
				t.Errorf("exit %d\n%s", code, out)
			}
			if took > 20*time.Second { // less than the grace of a process that is asked to end, and than its step waits
				t.Errorf("it took %v", took)
			}
		})
	}
}
