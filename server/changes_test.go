package server

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// fakeRoom signals as the rooms do, and counts who listens.
type fakeRoom struct {
	signal    chan struct{}
	listeners atomic.Int32
}

func newFakeRoom() *fakeRoom { return &fakeRoom{signal: make(chan struct{}, 1)} }

func (r *fakeRoom) subscribe() (<-chan struct{}, func()) {
	r.listeners.Add(1)
	return r.signal, func() { r.listeners.Add(-1) }
}

func (r *fakeRoom) change() {
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

// take reads what is due now.
func take(out <-chan string) (topics []string) {
	for {
		synctest.Wait()
		select {
		case t := <-out:
			topics = append(topics, t)
		default:
			return topics
		}
	}
}

func TestChangesTellEveryTopicAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFakeRoom(), newFakeRoom()
		out, cancel := changes([]source{{[]string{"builds", "jobs"}, a.subscribe}, {[]string{"queue"}, b.subscribe}})
		defer cancel()
		if got := take(out); !slices.Equal(got, []string{"builds", "jobs", "queue"}) {
			t.Errorf("%q", got)
		}
		if got := take(out); got != nil {
			t.Errorf("nothing changed, and still %q", got)
		}
	})
}

func TestChangesThatNobodyTookAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFakeRoom(), newFakeRoom()
		out, cancel := changes([]source{{[]string{"builds", "jobs"}, a.subscribe}, {[]string{"queue"}, b.subscribe}})
		defer cancel()
		take(out)
		for range 100 {
			b.change()
			synctest.Wait()
			a.change()
			synctest.Wait()
		}
		if got := take(out); !slices.Equal(got, []string{"queue", "builds", "jobs"}) {
			t.Errorf("%q", got)
		}
		a.change()
		if got := take(out); !slices.Equal(got, []string{"builds", "jobs"}) {
			t.Errorf("%q", got)
		}
	})
}

// Who stops listening, with or without having read everything, leaves no goroutine: synctest would not end.
func TestChangesEndWithTheirListener(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "with topics due": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newFakeRoom(), newFakeRoom()
				out, cancel := changes([]source{{[]string{"builds"}, a.subscribe}, {[]string{"queue"}, b.subscribe}})
				if !busy {
					take(out)
				}
				a.change()
				cancel()
				cancel()
				synctest.Wait()
				if _, open := <-out; open {
					for range out {
					}
				}
				if n := a.listeners.Load() + b.listeners.Load(); n != 0 {
					t.Errorf("%d rooms have a listener still", n)
				}
			})
		})
	}
}

// A room that ends, as at the controller's end, does not take the others with it.
func TestChangesOutliveARoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newFakeRoom(), newFakeRoom()
		out, cancel := changes([]source{{[]string{"builds"}, a.subscribe}, {[]string{"queue"}, b.subscribe}})
		defer cancel()
		take(out)
		close(a.signal)
		b.change()
		if got := take(out); !slices.Equal(got, []string{"queue"}) {
			t.Errorf("%q", got)
		}
	})
}
