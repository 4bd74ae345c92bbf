package queue_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/outwork-build/outwork/queue"
)

// Who waits without a goroutine hears of a grant once, hears of one that was there before, and nothing after it has stopped.
func TestAfterFunc(t *testing.T) {
	run(t, func(w *world) {
		w.farm.set(online("a", 1))
		first, waits, gone := w.submit(queue.Item{ID: "x"}), w.submit(queue.Item{ID: "y"}), w.submit(queue.Item{ID: "z"})
		g := w.granted(first)
		calls := make(chan string, 10)
		waits.AfterFunc(func() { calls <- "y" })
		stop := waits.AfterFunc(func() { calls <- "stopped" })
		gone.AfterFunc(func() { calls <- "z" })
		stop()
		synctest.Wait()
		if waits.Ready() || len(calls) > 0 {
			t.Fatalf("ready %v, %d calls while it waits", waits.Ready(), len(calls))
		}
		if err := gone.Withdraw(w.Context()); err != nil {
			t.Fatal(err)
		}
		if call := <-calls; call != "z" || !gone.Ready() {
			t.Errorf("called for %s, ready %v", call, gone.Ready())
		}
		if _, err := gone.Wait(w.Context()); !errors.Is(err, queue.ErrWithdrawn) {
			t.Errorf("withdrawn: %v", err)
		}
		if err := w.Release(w.Context(), g); err != nil {
			t.Fatal(err)
		}
		if call := <-calls; call != "y" || !waits.Ready() {
			t.Errorf("called for %s, ready %v", call, waits.Ready())
		}
		waits.AfterFunc(func() { calls <- "late" })
		if call := <-calls; call != "late" {
			t.Errorf("called for %s", call)
		}
		synctest.Wait()
		if len(calls) > 0 {
			t.Errorf("called again: %s", <-calls)
		}
	})
}
