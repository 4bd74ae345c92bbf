package fleet_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/fleet/retain"
)

// farmOf runs a roster of n nodes with all there is to watch. The heartbeat is as short as the test says.
func farmOf(b *testing.B, n int, heartbeat time.Duration) *world {
	w := newWorld(b)
	for i := range n {
		name := fleet.NodeName(fmt.Sprintf("n%04d", i))
		node := fleet.Node{Name: name, Executors: 1, Labels: []string{"linux"}, Launcher: fleet.LauncherSpec{Kind: "test"}}
		w.launcher.machines[name] = &machine{boot: "boot-1", feels: fine()}
		w.ok(w.store.PutNode(context.Background(), node))
	}
	set, err := monitor.NewSet(nil)
	if err != nil {
		b.Fatal(err)
	}
	w.begin(fleet.Config{Heartbeat: heartbeat, Monitors: set, Record: func() fleet.Recorder { return &monitor.History{} }, Retention: retain.New})
	b.Cleanup(w.stop)
	ch, cancel := w.Subscribe()
	defer cancel()
	for {
		online := 0
		for _, st := range w.Snapshot() {
			if st.State == fleet.Online {
				online++
			}
		}
		if online == n {
			return w
		}
		<-ch
	}
}

// BenchmarkSnapshot reads a farm of 1,000 nodes, with what the monitors say.
func BenchmarkSnapshot(b *testing.B) {
	w := farmOf(b, 1000, time.Hour)
	for b.Loop() {
		if len(w.Snapshot()) != 1000 {
			b.Fatal("nodes are missing")
		}
	}
}

// BenchmarkHeartbeat is all that the roster does about one answered heartbeat: six monitors, a memory, the keeper. 1,000 nodes
// send them, ten in a second each, so that what grows with the farm would show; it tells the CPU time of one.
func BenchmarkHeartbeat(b *testing.B) {
	w := farmOf(b, 1000, 100*time.Millisecond)
	beats := func() (n int) {
		for _, m := range w.launcher.machines {
			m.set(func() { n += m.beats })
		}
		return n
	}
	start, used := beats(), cpu()
	for b.Loop() {
		time.Sleep(100 * time.Millisecond)
	}
	n := beats() - start
	b.ReportMetric(float64(cpu()-used)/float64(n)/1000, "µs-CPU/heartbeat")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "heartbeats/s")
}

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBulk takes 1,000 nodes off and puts them back.
func BenchmarkBulk(b *testing.B) {
	w := farmOf(b, 1000, time.Hour)
	var names []fleet.NodeName
	for _, st := range w.Snapshot() {
		names = append(names, st.Node.Name)
	}
	for b.Loop() {
		for _, v := range []fleet.Verb{fleet.VerbOffline, fleet.VerbOnline} {
			if done, err := w.Bulk(context.Background(), names, fleet.Order{Verb: v, Cause: fleet.ByUser("x", "")}); err != nil || len(done) != 1000 {
				b.Fatal(len(done), err)
			}
		}
	}
}
