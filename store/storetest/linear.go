package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

// op is one call of the history. Accept answers a number, next reads the job's next number, grant asks for an epoch.
type op struct {
	kind string // accept, next, grant
	arg  int
}

// answer is a number, or -1 for Stale.
type answer int

// Linearizable checks, from the outside, that acceptances and grants happen one after the other, between call and return.
func Linearizable(t *testing.T, open Opener) {
	w := newWorld(t, open)
	w.job("j")
	const clients, calls = 6, 40
	start := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			epoch := 1
			for i := range calls {
				in := op{kind: []string{"accept", "next", "grant"}[(c+i)%3]}
				if in.kind == "grant" {
					in.arg = epoch
				}
				call := time.Since(start)
				out, err := w.perform(in)
				end := time.Since(start)
				if err != nil {
					t.Error(err)
					return
				}
				if in.kind == "grant" {
					epoch++ // next time one further, won or lost
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: c, Input: in, Output: out, Call: int64(call), Return: int64(end)})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if r := porcupine.CheckOperationsTimeout(ledgerModel(), history, 30*time.Second); r != porcupine.Ok {
		t.Errorf("the history of %d calls is not linearizable: %v", len(history), r)
	}
}

func (w *world) perform(in op) (answer, error) {
	switch in.kind {
	case "accept":
		id, err := w.Builds.Accept(w.ctx(), build.Build{ID: build.ID{Job: "j"}, State: build.Queued})
		return answer(id.Number), err
	case "next":
		j, err := w.Builds.Job(w.ctx(), "j")
		return answer(j.NextNumber), err
	}
	err := w.Leases.Grant(w.ctx(), []queue.LeaseRow{lease("x", uint64(in.arg), queue.LeaseActive)})
	if fault.Is(err, fault.Stale) {
		return -1, nil
	}
	return answer(in.arg), err
}

// ledgerModel is what the ledger does when one calls after the other.
func ledgerModel() porcupine.Model {
	type state struct{ next, epoch int }
	return porcupine.Model{
		Init: func() any { return state{next: 1} },
		Step: func(s, input, output any) (bool, any) {
			st, in, out := s.(state), input.(op), int(output.(answer))
			switch in.kind {
			case "accept":
				return out == st.next, state{st.next + 1, st.epoch}
			case "next":
				return out == st.next, st
			}
			if in.arg == st.epoch+1 {
				return out == in.arg, state{st.next, in.arg}
			}
			return out == -1, st
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %v", input, output) },
	}
}
