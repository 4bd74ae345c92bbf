package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/store"
)

// hold keeps the writer busy until the returned function is called, so that what follows is one batch.
func hold(t *testing.T, l *Ledger) (release func()) {
	t.Helper()
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- l.Write(context.Background(), func(store.Tx) error { close(begun); <-end; return nil })
	}()
	<-begun
	return func() { close(end); must(t, <-done) }
}

func TestOneBadChangeOfABatchIsAlone(t *testing.T) {
	var logged bytes.Buffer
	l := openLedger(t, t.TempDir(), Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	putJob(t, l, "j")
	release := hold(t, l)
	mine := errors.New("mine")
	number := func(tx store.Tx) error { _, err := tx.Exec("job.take_number", "j"); return err }
	changes := []struct {
		change func(store.Tx) error
		good   func(error) bool
	}{
		{number, func(err error) bool { return err == nil }},
		{func(tx store.Tx) error { return errors.Join(number(tx), mine) }, func(err error) bool { return errors.Is(err, mine) }},
		{func(tx store.Tx) error { _ = number(tx); panic("bad luck") }, func(err error) bool {
			return fault.Is(err, fault.Internal) && strings.Contains(err.Error(), "bad luck")
		}},
		{func(tx store.Tx) error { _ = number(tx); _, err := tx.Exec("no such query"); return err }, func(err error) bool { return err != nil }},
		{func(tx store.Tx) error { // a constraint
			_, err := tx.Exec("build.insert", "j", 1, nil, nil)
			return err
		}, func(err error) bool { return err != nil && strings.Contains(err.Error(), "NOT NULL") }},
		{number, func(err error) bool { return err == nil }},
	}
	errs := make([]chan error, len(changes))
	for i, c := range changes {
		errs[i] = make(chan error, 1)
		go func() { errs[i] <- l.Write(t.Context(), c.change) }()
	}
	must(t, l.Later(t.Context(), number))
	must(t, l.Later(t.Context(), func(store.Tx) error { return errors.New("nobody hears this") }))
	release()
	for i, c := range changes {
		if err := <-errs[i]; !c.good(err) {
			t.Errorf("change %d: %v", i, err)
		}
	}
	must(t, l.Settle(t.Context()))
	j, err := l.Builds.Job(t.Context(), "j")
	must(t, err)
	if j.NextNumber != 4 {
		t.Errorf("three good changes, next number %d", j.NextNumber)
	}
	must(t, l.Close())
	if !strings.Contains(logged.String(), "nobody hears this") {
		t.Errorf("the error of a write that nobody waits for was not logged: %s", &logged)
	}
}

func TestGivenUpBeforeItBegan(t *testing.T) {
	l := openLedger(t, t.TempDir(), Config{})
	putJob(t, l, "j")
	release := hold(t, l)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	done := make(chan error, 1)
	go func() {
		done <- l.Write(ctx, func(store.Tx) error { t.Error("it was called"); return nil })
	}()
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("the caller hears %v", err)
	}
	release()
	must(t, l.Settle(t.Context()))
}

func TestReadersCannotWrite(t *testing.T) {
	l := openLedger(t, t.TempDir(), Config{})
	err := l.Read(t.Context(), func(tx store.Tx) error { _, err := tx.Exec("job.number", "j"); return err })
	if err == nil {
		t.Error("a reader wrote")
	}
	// Nor by the other door.
	err = l.Read(t.Context(), func(tx store.Tx) error {
		return tx.Query("job.number", []any{"j"}, func(func(...any) error) error { return nil })
	})
	if err == nil {
		t.Error("a reader wrote through Query")
	}
}

func TestQueriesAreAllUsedAndValid(t *testing.T) {
	l := openLedger(t, t.TempDir(), Config{})
	queries, err := store.Queries()
	must(t, err)
	if len(queries) < 50 {
		t.Errorf("only %d queries", len(queries))
	}
	for name := range queries {
		err := l.Write(t.Context(), func(x store.Tx) error { _, err := x.(*tx).st.get(name); return err })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStartAndStopManyTimes(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	for i := range 100 {
		l, err := Open(t.Context(), dir, Config{})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				err := l.Builds.PutJob(t.Context(), build.Job{Name: "j"}, true)
				if err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
				if _, err := l.Builds.Jobs(t.Context()); err != nil && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
			})
		}
		if i%2 == 0 {
			wg.Wait()
		}
		cancel()
		must(t, <-done)
		wg.Wait()
	}
}

func TestBadConfig(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir(), Config{Batch: -1}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a negative limit: %v", err)
	}
	file := t.TempDir() + "/file"
	must(t, writeFile(file))
	if _, err := Open(t.Context(), file+"/data", Config{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a folder below a file: %v", fmt.Sprint(err))
	}
}

func TestBrokenConnectionsAreOpenedAgain(t *testing.T) {
	l := openLedger(t, t.TempDir(), Config{Readers: 1, BusyAfter: time.Second})
	putJob(t, l, "j")
	for range 3 {
		_ = l.Write(t.Context(), func(x store.Tx) error { // as if an undo had failed: still within a transaction
			_, err := x.(*tx).st.conn.ExecContext(t.Context(), "COMMIT")
			must(t, err)
			_, err = x.(*tx).st.conn.ExecContext(t.Context(), "BEGIN")
			must(t, err)
			return nil
		})
		if _, err := acceptOne(t.Context(), l); err != nil {
			t.Errorf("writing: %v", err)
		}
		_ = l.Read(t.Context(), func(x store.Tx) error {
			_, err := x.(*tx).st.conn.ExecContext(t.Context(), "ROLLBACK")
			return err
		})
		if _, err := l.Builds.Jobs(t.Context()); err != nil {
			t.Errorf("reading: %v", err)
		}
	}
	bs, err := l.Builds.Builds(t.Context(), build.Filter{})
	must(t, err)
	if len(bs) != 3 {
		t.Errorf("%d builds of 3", len(bs))
	}
}

func TestAReadIsInterrupted(t *testing.T) {
	l := openLedger(t, t.TempDir(), Config{Readers: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	err := l.Read(ctx, func(x store.Tx) error {
		cancel(cause)
		_, err := x.(*tx).st.conn.ExecContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT COUNT(*) FROM n")
		return err
	})
	if !errors.Is(err, cause) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := l.Builds.Jobs(t.Context()); err != nil {
		t.Errorf("the next read: %v", err)
	}
}
