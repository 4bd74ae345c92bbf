package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/step/executor/hosttest"
	"github.com/outwork-build/outwork/pipeline/step/file"
	"github.com/outwork-build/outwork/pipeline/step/steptest"
	"github.com/outwork-build/outwork/pipeline/value"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	os.Exit(m.Run())
}

func TestReadAndWrite(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	for _, c := range []struct{ encoding, text, bytes string }{
		{"", "one\ntwo é\n", "one\ntwo é\n"},
		{"UTF-8", "é", "é"},
		{"Base64", "aGVsbG8A/w==", "hello\x00\xff"},
		{"ISO-8859-1", "é", "\xe9"},
		{"UTF-16LE", "é𝄞", "\xe9\x00\x34\xd8\x1e\xdd"},
		{"UTF-16", "é", "\x00\xe9"},
		{"", "", ""},
	} {
		w.Must(th, file.WriteFile{}, steptest.Args{"file": "new/folder/f", "text": c.text, "encoding": c.encoding})
		b, err := os.ReadFile(filepath.Join(th.Scope().Node.Workspace.Path, "new/folder/f"))
		if err != nil || string(b) != c.bytes {
			t.Errorf("%s %q was written as %q, %v", c.encoding, c.text, b, err)
		}
		if v := w.Must(th, file.ReadFile{}, steptest.Args{"file": "new/folder/f", "encoding": c.encoding}); v != c.text {
			t.Errorf("%s %q was read as %q", c.encoding, c.text, v)
		}
	}
	if err := os.WriteFile(filepath.Join(th.Scope().Node.Workspace.Path, "big"), make([]byte, 17<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step           step.Step
		args           steptest.Args
		class, message string
	}{
		{file.ReadFile{}, steptest.Args{"file": "gone"}, "java.nio.file.NoSuchFileException", th.Scope().Node.Workspace.Path + "/gone"},
		{file.ReadFile{}, steptest.Args{"file": "big"}, value.AbortException, ""},
		{file.ReadFile{}, steptest.Args{"file": "x", "encoding": "EBCDIC"}, value.AbortException, ""},
		{file.WriteFile{}, steptest.Args{"file": "x", "text": "%", "encoding": "Base64"}, value.AbortException, ""},
		{file.WriteFile{}, steptest.Args{"file": "new/folder", "text": "x"}, "java.io.IOException", ""},
	} {
		_, err := th.Step(c.step, c.args, nil)
		var e *value.Exception
		if !errors.As(err, &e) || e.Class != c.class || c.message != "" && e.Message != c.message {
			t.Errorf("%s %v: %#v", c.step.Spec().Name, c.args, err)
		}
	}
}

func TestExists(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	w.Must(th, file.WriteFile{}, steptest.Args{"file": "d/f", "text": ""})
	w.Must(th, file.Touch{}, steptest.Args{"file": "t"})
	for name, want := range map[string]bool{"d": true, "d/f": true, "./d/../d/f": true, "t": true, "x": false, "d/x": false, "": true, "/": true, "/no/such/file": false} {
		if got := w.Must(th, file.FileExists{}, steptest.Args{"file": name}); got != want {
			t.Errorf("fileExists %q is %v", name, got)
		}
	}
}

func TestFolders(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	ws := th.Scope().Node.Workspace
	w.Must(th, file.WriteFile{}, steptest.Args{"file": "top", "text": "x"})
	_, err := th.Step(file.Dir{}, steptest.Args{"path": "a"}, func(th *steptest.Thread, _ ...value.Value) (value.Value, error) {
		return th.Step(file.Dir{}, steptest.Args{"path": "b/../c"}, func(th *steptest.Thread, _ ...value.Value) (value.Value, error) {
			if v := w.Must(th, file.Pwd{}, nil); v != ws.Path+"/a/c" {
				t.Errorf("pwd %v", v)
			}
			w.Must(th, file.WriteFile{}, steptest.Args{"file": "f", "text": "deep"})
			if v := w.Must(th, file.ReadFile{}, steptest.Args{"file": ws.Path + "/a/c/f"}); v != "deep" {
				t.Errorf("read %q", v)
			}
			w.Must(th, file.DeleteDir{}, nil)
			return nil, nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := w.Must(th, file.Pwd{}, nil); v != ws.Path {
		t.Errorf("pwd %v", v)
	}
	if v := w.Must(th, file.Pwd{}, steptest.Args{"tmp": true}); v != ws.Tmp {
		t.Errorf("pwd(tmp: true) %v", v)
	}
	if v := w.Must(th, file.FileExists{}, steptest.Args{"file": "a/c"}); v != false {
		t.Error("deleteDir left its folder")
	}
	if v := w.Must(th, file.FileExists{}, steptest.Args{"file": "top"}); v != true {
		t.Error("deleteDir in a folder took the workspace along")
	}
	w.Must(th, file.DeleteDir{}, nil)
	if es, err := os.ReadDir(ws.Path); err != nil || len(es) > 0 {
		t.Errorf("the workspace after deleteDir: %v %v", es, err)
	}
	if v := w.Must(th, file.IsUnix{}, nil); v != true {
		t.Errorf("isUnix %v", v)
	}
}

// A link that a build made does not lead the steps out of the workspace.
func TestLinksOut(t *testing.T) {
	w := hosttest.New(t)
	th := w.Node()
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(th.Scope().Node.Workspace.Path, "link")); err != nil {
		t.Fatal(err)
	}
	if v, err := th.Step(file.ReadFile{}, steptest.Args{"file": "link/secret"}, nil); err == nil {
		t.Errorf("read %q through a link", v)
	}
	if _, err := th.Step(file.WriteFile{}, steptest.Args{"file": "link/new", "text": "x"}, nil); err == nil {
		t.Error("wrote through a link")
	}
	in := th.Scoped(func(s *step.Scope) { s.Dir = s.Node.Workspace.Path + "/link" })
	_, _ = in.Step(file.DeleteDir{}, nil, nil)
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Error("deleteDir followed a link:", err)
	}
}
