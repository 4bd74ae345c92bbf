package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// The machine runs scripts as its says says.
type says struct {
	code int
	out  string
	hang bool
	runs int
}

func (m *machine) Open(_ context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = append(m.open[:0:0], r.Lease)
	return agent.Workspace{Path: "/probe"}, nil
}

func (m *machine) Start(_ context.Context, r agent.StartRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.says.runs++
	return nil
}

func (m *machine) Follow(ctx context.Context, _ agent.Lease, _ agent.StepID, _ int64, sink func(agent.Output) error) (agent.Exit, error) {
	m.mu.Lock()
	s := m.says
	m.mu.Unlock()
	if s.hang {
		<-ctx.Done()
		return agent.Exit{}, ctx.Err()
	}
	return agent.Exit{Code: s.code}, sink(agent.Output{Data: []byte(s.out)})
}

func (m *machine) Stop(context.Context, agent.StopRequest) error { return nil }

func (m *machine) Forget(context.Context, agent.Lease, agent.StepID) error { return nil }

// S1-75: a script of the node's own takes it off when it fails or its value is beyond a limit, before it is ever given work too; a minute
// after it is good again the node is back. Its value has a day of history. A change is live, and what is taken away holds nothing.
func TestAMonitorOfOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start(nil)
		m := &machine{boot: "boot-1", feels: fine()}
		m.says = says{code: 3, out: "no docker here\nmore"}
		w.launcher.machines["a"] = m
		node := func(probes map[string]fleet.Probe) fleet.Node {
			return fleet.Node{Name: "a", Executors: 1, Probes: probes}
		}
		say := func(s says, wait time.Duration) {
			m.set(func() { s.runs = m.says.runs; m.says = s })
			time.Sleep(wait)
			synctest.Wait()
		}
		w.put(node(map[string]fleet.Probe{"docker-ok": {Command: "docker info", Interval: 20 * time.Second}}))
		const failed = "Monitor docker-ok failed: exit 3: no docker here"
		w.is("a", fleet.Suspended, failed)
		if st := w.status("a"); st.Monitors["docker-ok"].Level != fleet.Bad {
			t.Errorf("%+v", st.Monitors["docker-ok"])
		}
		rs, err := w.History(w.Context(), "a")
		if err != nil || told(rs) != "suspended: "+failed {
			t.Errorf("%s %v", told(rs), err)
		}
		say(says{out: "fine"}, 45*time.Second)
		w.is("a", fleet.Suspended, failed)
		time.Sleep(70 * time.Second)
		w.is("a", fleet.Online, "")
		say(says{hang: true}, 60*time.Second)
		if st := w.status("a"); st.State != fleet.Suspended || !strings.Contains(st.Cause.Text, "longer than 20s") {
			t.Errorf("%s %+v", st.State, st.Cause)
		}
		say(says{out: "fine"}, 3*time.Minute)
		w.is("a", fleet.Online, "")

		gpu := fleet.Probe{Command: "gpu", Interval: 10 * time.Second, Value: `temp=([0-9.]+)`, Limit: fleet.Limit{Bad: 90, Warn: 80, Action: fleet.TakeOff}}
		say(says{out: "gpu temp=70.5 C"}, 0)
		w.put(node(map[string]fleet.Probe{"gpu": gpu}))
		time.Sleep(30 * time.Second)
		if v := w.status("a").Monitors["gpu"]; v.Level != fleet.Good || v.Value != 70.5 {
			t.Errorf("%+v", v)
		}
		if _, still := w.status("a").Monitors["docker-ok"]; still {
			t.Error("a monitor that was taken away is still there")
		}
		say(says{out: "gpu temp=85 C"}, 30*time.Second)
		if v := w.status("a").Monitors["gpu"]; v.Level != fleet.Warning {
			t.Errorf("%+v", v)
		}
		w.is("a", fleet.Online, "")
		say(says{out: "gpu temp=95 C"}, 30*time.Second)
		w.is("a", fleet.Suspended, "Monitor gpu: 95 is above the limit of 90")
		ps, err := w.Series("a", "gpu", time.Now().Add(-time.Hour))
		if err != nil || len(ps) == 0 || ps[len(ps)-1].Max < 94 {
			t.Errorf("%v %v", ps, err)
		}
		say(says{out: "nothing"}, 30*time.Second)
		if v := w.status("a").Monitors["gpu"]; v.Level != fleet.Bad || !strings.Contains(v.Text, "does not match") {
			t.Errorf("%+v", v)
		}
		w.put(node(nil))
		time.Sleep(30 * time.Second)
		w.is("a", fleet.Online, "")
		before := m.says.runs
		time.Sleep(5 * time.Minute)
		m.mu.Lock()
		if m.says.runs != before {
			t.Error("it still runs")
		}
		m.mu.Unlock()
		w.stop()
	})
}

func TestWrongProbes(t *testing.T) {
	for says, p := range map[string]fleet.Probe{
		"exec: expected a script":    {},
		"at least 5s":                {Command: "x", Interval: time.Second},
		"value: ":                    {Command: "x", Value: "("},
		"expected value too":         {Command: "x", Limit: fleet.Limit{Bad: 1}},
		"action: \"explode\"":        {Command: "x", Limit: fleet.Limit{Action: "explode"}},
		"would never be seen":        {Command: "x", Value: "(.*)", Limit: fleet.Limit{Bad: 5, Warn: 9}},
		"would never be seen beside": {Command: "x", Value: "(.*)", Below: true, Limit: fleet.Limit{Bad: 9, Warn: 5}},
	} {
		if err := fleet.CheckProbe("p", p); !fault.Is(err, fault.Invalid) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%+v: %v, want %s", p, err, says)
		}
	}
	for _, name := range []string{"", "Docker", "a b", "-x"} {
		if err := fleet.CheckProbe(name, fleet.Probe{Command: "x"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
