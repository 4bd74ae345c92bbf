package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestInherited(t *testing.T) {
	in := []string{"PATH=/bin", "LANG=C", "http_proxy=p", "JAVA_HOME=/j", "OUTWORK_TOKEN=x", "OUTWORK_URL=u", "NOTIFY_SOCKET=/n", "AWS_SECRET_ACCESS_KEY=s",
		"GITHUB_TOKEN=g", "DB_PASSWORD=d", "SSH_AUTH_SOCK=/a", "INVOCATION_ID=i", "broken", "=odd"}
	if got, want := Inherited(in, nil), []string{"PATH=/bin", "LANG=C", "http_proxy=p", "JAVA_HOME=/j"}; !slices.Equal(got, want) {
		t.Errorf("passed %q, want %q", got, want)
	}
	if got := Inherited(in, []string{"GITHUB_TOKEN"}); !slices.Contains(got, "GITHUB_TOKEN=g") {
		t.Errorf("a listed name did not pass: %q", got)
	}
}

func TestSetPrepends(t *testing.T) {
	list := func(elems ...string) string { return strings.Join(elems, string(os.PathListSeparator)) }
	env := map[string]string{"PATH": "/bin"}
	set(env, map[string]string{"PATH+A": "/a", "PATH+B": "/b", "NEW+X": "n", "EMPTY": ""})
	if env["PATH"] != list("/b", "/a", "/bin") || env["NEW"] != "n" {
		t.Errorf("%q", env)
	}
	set(env, map[string]string{"PATH": "/own", "PATH+C": "/c"})
	if env["PATH"] != list("/c", "/own") {
		t.Errorf("%q", env)
	}
}

func TestShebang(t *testing.T) {
	for line, want := range map[string]string{
		"#!/bin/sh\necho":            "/bin/sh",
		"#!/usr/bin/env python3\r\n": "/usr/bin/env|python3",
		"#! /bin/sh -e -u":           "/bin/sh|-e -u",
		"#!\n":                       "",
		"echo #!/bin/sh":             "",
		"":                           "",
	} {
		got, ok := shebang([]byte(line))
		if strings.Join(got, "|") != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", line, got, ok, want)
		}
	}
}

// Whatever a job is called, its folder is a local path without awkward characters, and no two names share one.
func TestJobFolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z@./ ~A-Z%\\]{0,12}`))
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		f := jobFolder(a)
		if !filepath.IsLocal(f) || strings.ContainsAny(f, "@\x00\n:*?\"<>|") || strings.HasPrefix(f, ".") {
			t.Fatalf("job %q: folder %q", a, f)
		}
		for _, s := range strings.Split(filepath.ToSlash(f), "/") {
			if s == "" || len(s) > 120 || strings.HasSuffix(s, ".") || strings.HasSuffix(s, " ") {
				t.Fatalf("job %q: segment %q", a, s)
			}
		}
		if a != b && f == jobFolder(b) {
			t.Fatalf("jobs %q and %q share %q", a, b, f)
		}
	})
	for _, plain := range []string{"app", "team/app", "a b", "ünï", "x.y-z_1"} {
		if f := jobFolder(plain); filepath.ToSlash(f) != plain {
			t.Errorf("job %q: folder %q", plain, f)
		}
	}
}

func TestFencesSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fences")
	f, err := openFences(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []fence{{"a", 1, false}, {"a", 3, false}, {"a", 2, false}, {"b", 1, false}, {"b", 1, true}, {"b", 1, false}} {
		if err := f.raise(e); err != nil {
			t.Fatal(err)
		}
	}
	check := func(f *fences) {
		t.Helper()
		if a, b, c := f.get("a"), f.get("b"), f.get("c"); a != (fence{"a", 3, false}) || b != (fence{"b", 1, true}) || c.Epoch != 0 {
			t.Errorf("%v, %v, %v", a, b, c)
		}
	}
	check(f)
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	tear(t, path, `{"item":"a","epo`)
	if f, err = openFences(path); err != nil {
		t.Fatal(err)
	}
	check(f)
	if err := f.raise(fence{"c", 9, true}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.close()); err != nil {
		t.Fatal(err)
	}
	if f, err = openFences(path); err != nil || f.get("c").Epoch != 9 {
		t.Errorf("after a torn line: %v, %v", f.get("c"), err)
	}
	_ = f.close()
}

// tear leaves a line that an agent was killed in.
func tear(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// P5: the file of fences is bounded; open items stay in it, of the others the newest.
func TestFencesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fences")
	f, err := openFences(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.raise(fence{"open", 7, false}); err != nil {
		t.Fatal(err)
	}
	for i := range 2*maxFences + 10 {
		if err := f.raise(fence{fmt.Sprint("i", i), 1, true}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.last); n > maxFences+10 {
		t.Errorf("%d items are kept, want about %d", n, maxFences)
	}
	if f.get("open").Epoch != 7 || f.get(fmt.Sprint("i", 2*maxFences)).Epoch != 1 || f.get("i0").Epoch != 0 {
		t.Error("the wrong ones were forgotten")
	}
}

func TestKeyed(t *testing.T) {
	var k keyed
	unlock, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := k.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := k.lock(ctx, "a"); err == nil {
		t.Error("a lock was given twice")
	}
	unlock()
	if unlock, err = k.lock(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	unlock()
	if len(k.m) != 0 {
		t.Errorf("%d locks are left", len(k.m))
	}
}
