package sqlite

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
)

var crashRounds = flag.Int("crash.rounds", 20, "how often TestKilledWhileAccepting kills")

// acceptForEver accepts builds from 8 goroutines, and prints each id once Accept has returned; likewise the journal's entries.
func acceptForEver(dir string) {
	l, err := Open(context.Background(), dir, Config{})
	if err == nil {
		err = l.Builds.PutJob(context.Background(), build.Job{Name: "j"}, true)
		if fault.Is(err, fault.Conflict) {
			err = nil
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := make(chan string)
	for range 8 {
		go func() {
			for {
				id, err := acceptOne(context.Background(), l)
				if err != nil {
					lines <- fmt.Sprint("error ", err)
					return
				}
				lines <- fmt.Sprint("accepted ", id.Number)
				if err := l.Runs.Append(context.Background(), id, []pipeline.Entry{{Seq: 1, Data: []byte(id.String())}}); err != nil {
					lines <- fmt.Sprint("error ", err)
					return
				}
				lines <- fmt.Sprint("journaled ", id.Number)
			}
		}()
	}
	for s := range lines {
		fmt.Println(s) // not buffered: a line that was read was answered
	}
}

// TestKilledWhileAccepting is promise P1 and fault F2: what was answered is there after kill -9, and no number is used twice.
func TestKilledWhileAccepting(t *testing.T) {
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	accepted, journaled := map[int]bool{}, map[int]bool{}
	for round := range *crashRounds {
		cmd, stderr := startRole(t, "accept", dir)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		kill := 1 + rnd.IntN(400) // lines seen before the kill
		lines := 0
		for in := bufio.NewScanner(stdout); in.Scan(); {
			var what string
			var n int
			if _, err := fmt.Sscan(in.Text(), &what, &n); err != nil {
				t.Fatalf("round %d: %q", round, in.Text())
			}
			switch {
			case what == "accepted" && accepted[n]:
				t.Fatalf("round %d: number %d was given twice", round, n)
			case what == "accepted":
				accepted[n] = true
			case what == "journaled":
				journaled[n] = true
			default:
				t.Fatalf("round %d: %s", round, in.Text())
			}
			if lines++; lines == kill {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // it was killed
		if lines < kill {
			t.Fatalf("round %d: ended after %d lines: %s", round, lines, stderr)
		}
		verify(t, dir, accepted, journaled)
	}
	t.Logf("%d builds accepted, %d journaled, %d kills", len(accepted), len(journaled), *crashRounds)
}

func verify(t *testing.T, dir string, accepted, journaled map[int]bool) {
	t.Helper()
	l, err := Open(t.Context(), dir, Config{BusyAfter: 5 * time.Second})
	must(t, err)
	defer l.Close()
	must(t, l.Check(t.Context()))
	found := map[int]bool{}
	bs, err := l.Runs.Unfinished(t.Context())
	must(t, err)
	for _, b := range bs {
		found[b.ID.Number] = true
	}
	for n := range accepted {
		if !found[n] {
			t.Errorf("build %d was accepted and is lost", n)
		}
	}
	for n := range found {
		accepted[n] = true // committed, and killed before the answer was read
	}
	for n := range journaled {
		id := build.ID{Job: "j", Number: n}
		es, err := l.Runs.Load(t.Context(), id)
		must(t, err)
		if len(es) != 1 || string(es[0].Data) != id.String() {
			t.Errorf("journal of %s: %v", id, es)
		}
	}
}
