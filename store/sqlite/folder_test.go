package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func putJob(t testing.TB, l *Ledger, name build.JobName) {
	t.Helper()
	must(t, l.Builds.PutJob(t.Context(), build.Job{Name: name}, true))
}

func acceptOne(ctx context.Context, l *Ledger) (build.ID, error) {
	return l.Builds.Accept(ctx, build.Build{ID: build.ID{Job: "j"}, State: build.Queued})
}

func TestFolderBelongsToOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l := openLedger(t, dir, Config{})
	_, err := Open(t.Context(), dir, Config{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("opened twice: %v", err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, fileName: 0o600, lockName: 0o600, fileName + "-wal": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%q has permissions %v, want %v", name, info.Mode().Perm(), want)
		}
	}
	must(t, l.Close())
	must(t, l.Close())
	openLedger(t, dir, Config{})
}

func TestClosedLedgerRefuses(t *testing.T) {
	l := openLedger(t, t.TempDir(), Config{})
	must(t, l.Close())
	for what, err := range map[string]error{
		"write":  l.Write(t.Context(), func(store.Tx) error { return nil }),
		"later":  l.Later(t.Context(), func(store.Tx) error { return nil }),
		"read":   l.Read(t.Context(), func(store.Tx) error { return nil }),
		"backup": l.Check(t.Context()),
	} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFolderOfANewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, openLedger(t, dir, Config{}).Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, fileName))
	must(t, err)
	_, err = db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	must(t, err)
	must(t, db.Close())
	_, err = Open(t.Context(), dir, Config{})
	if !fault.Is(err, fault.Incompatible) {
		t.Fatalf("a folder of version 99: %v", err)
	}
	for _, part := range []string{dir, "version 99", fmt.Sprintf("up to version %d", len(migrations(t))), "newer Outwork", "backup"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	// It was left as it was, and the lock is free.
	if _, err = Open(t.Context(), dir, Config{}); !fault.Is(err, fault.Incompatible) {
		t.Errorf("the second time: %v", err)
	}
}

func TestOlderFolderIsCopiedAndMigrated(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir, Config{})
	putJob(t, l, "j")
	_, err := acceptOne(t.Context(), l)
	must(t, err)
	must(t, l.Close())
	files := fstest.MapFS{}
	for name, text := range migrations(t) {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	newer := len(files) + 1
	files[fmt.Sprintf("%05d_more.sql", newer)] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE more (x TEXT);\n-- +goose Down\nDROP TABLE more;\n")}
	c := Config{}
	must(t, c.defaults())
	must(t, migrateTo(t.Context(), dir, files, c))
	count := func(file, query string) (n int, err error) {
		db, err := sql.Open("sqlite", filepath.Join(dir, file))
		must(t, err)
		defer db.Close()
		err = db.QueryRow(query).Scan(&n)
		return n, err
	}
	copied := fmt.Sprintf("%s.before-v%d", fileName, newer)
	if n, err := count(copied, "SELECT COUNT(*) FROM builds"); n != 1 || err != nil {
		t.Errorf("the copy has %d builds, %v", n, err)
	}
	if _, err := count(copied, "SELECT COUNT(*) FROM more"); err == nil {
		t.Error("the copy was made after the migration")
	}
	if n, err := count(fileName, "SELECT COUNT(*) FROM more"); n != 0 || err != nil {
		t.Errorf("after the migration: %v", err)
	}
	if n, err := count(fileName, "SELECT COUNT(*) FROM builds"); n != 1 || err != nil {
		t.Errorf("after the migration there are %d builds, %v", n, err)
	}
	// The migrated folder is a newer version's to the code of today.
	if _, err := Open(t.Context(), dir, Config{}); !fault.Is(err, fault.Incompatible) {
		t.Errorf("opened with version %d: %v", newer, err)
	}
}

func TestEveryMigrationGoesBack(t *testing.T) {
	dir := t.TempDir()
	must(t, openLedger(t, dir, Config{}).Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, fileName))
	must(t, err)
	defer db.Close()
	texts := migrations(t)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(texts))) {
		_, down, ok := strings.Cut(texts[name], "-- +goose Down")
		if !ok {
			t.Fatalf("%s: no way back", name)
		}
		_, err = db.Exec(down)
		must(t, err)
	}
	var left int
	must(t, db.QueryRow("SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE 'goose%'").Scan(&left))
	if left != 0 {
		t.Errorf("%d tables and indexes are left", left)
	}
}

func TestBackupWhileWriting(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir, Config{})
	putJob(t, l, "j")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	accepted := make(chan int, 1)
	begun := make(chan struct{})
	wg.Go(func() {
		for n := 1; ; n++ {
			if _, err := acceptOne(t.Context(), l); err != nil {
				t.Error(err)
			}
			if n == 50 {
				close(begun)
			}
			select {
			case <-stop:
				accepted <- n
				return
			default:
			}
		}
	})
	<-begun
	restored := t.TempDir()
	must(t, l.Backup(t.Context(), filepath.Join(restored, fileName)))
	if err := l.Backup(t.Context(), filepath.Join(restored, fileName)); !fault.Is(err, fault.Conflict) {
		t.Errorf("over a file that is there: %v", err)
	}
	if err := l.Backup(t.Context(), filepath.Join(restored, "no", "folder")); err == nil {
		t.Error("into a folder that is missing")
	}
	close(stop)
	wg.Wait()
	info, err := os.Stat(filepath.Join(restored, fileName))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has permissions %v", info.Mode().Perm())
	}
	r := openLedger(t, restored, Config{})
	must(t, r.Check(t.Context()))
	j, err := r.Builds.Job(t.Context(), "j")
	must(t, err)
	bs, err := r.Builds.Builds(t.Context(), build.Filter{Limit: 1 << 30})
	must(t, err)
	if all := <-accepted; len(bs) != j.NextNumber-1 || len(bs) < 50 || len(bs) > all {
		t.Errorf("the backup has %d builds, next number %d; %d were accepted", len(bs), j.NextNumber, all)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir, Config{})
	putJob(t, l, "j")
	for range 300 {
		_, err := acceptOne(t.Context(), l)
		must(t, err)
	}
	must(t, l.Check(t.Context()))
	must(t, l.Close())
	path := filepath.Join(dir, fileName)
	b, err := os.ReadFile(path)
	must(t, err)
	// Builds are in the middle of the file: their pages become others'.
	copy(b[len(b)/2:], bytes.Repeat([]byte{0xee}, 8192))
	must(t, os.WriteFile(path, b, 0o600))
	l = openLedger(t, dir, Config{})
	if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("with two pages overwritten Check says %v", err)
	}
}

// TestMain lets the test binary be the other processes of the tests.
func TestMain(m *testing.M) {
	switch os.Getenv("LEDGER_TEST_ROLE") {
	case "accept":
		acceptForEver(os.Getenv("LEDGER_TEST_DIR"))
	case "hold":
		holdLock(os.Getenv("LEDGER_TEST_DIR"))
	default:
		os.Exit(m.Run())
	}
}

func startRole(t *testing.T, role, dir string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "LEDGER_TEST_ROLE="+role, "LEDGER_TEST_DIR="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

// holdLock takes the write lock of the file, says so, and holds it until its stdin ends.
func holdLock(dir string) {
	db, err := sql.Open("sqlite", filepath.Join(dir, fileName))
	if err == nil {
		db.SetMaxOpenConns(1)
		_, err = db.Exec("BEGIN IMMEDIATE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("locked")
	var b [1]byte
	_, _ = os.Stdin.Read(b[:])
	_, _ = db.Exec("ROLLBACK")
}

// TestLockedByAnotherProcess is fault F6: writers wait, readers go on, nothing is lost.
func TestLockedByAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLedger(t, dir, Config{})
	putJob(t, l, "j")
	cmd, stderr := startRole(t, "hold", dir)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var said [7]byte
	if _, err := stdout.Read(said[:]); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	const callers = 20
	done := make(chan error, callers)
	for range callers {
		go func() { _, err := acceptOne(t.Context(), l); done <- err }()
	}
	must(t, l.Builds.PutStage(t.Context(), build.ID{Job: "j", Number: 1}, build.Stage{ID: "1"}))
	if _, err := l.Builds.Jobs(t.Context()); err != nil {
		t.Errorf("reading while locked: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := acceptOne(short, l); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a caller who waits only a moment: %v", err)
	}
	hold := time.Second
	if !testing.Short() {
		hold = 20 * time.Second
	}
	select {
	case err := <-done:
		t.Errorf("a write ended while the file was locked: %v", err)
	case <-time.After(hold):
	}
	must(t, stdin.Close())
	must(t, cmd.Wait())
	for range callers {
		must(t, <-done)
	}
	bs, err := l.Builds.Builds(t.Context(), build.Filter{})
	must(t, err)
	if len(bs) != callers {
		t.Errorf("%d builds are kept, of %d accepted and one given up", len(bs), callers)
	}
}

func writeFile(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }

// migrations returns the texts of all migrations by the names of their files, which count from 00001.
func migrations(t *testing.T) map[string]string {
	t.Helper()
	files, err := migrationFiles.ReadDir("migrations")
	must(t, err)
	texts := map[string]string{}
	for _, f := range files {
		text, err := migrationFiles.ReadFile("migrations/" + f.Name())
		must(t, err)
		texts[f.Name()] = string(text)
	}
	return texts
}
