package host_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/agenttest"
	"github.com/outwork-build/outwork/agent/host"
	"github.com/outwork-build/outwork/cas/memory"
)

func TestMain(m *testing.M) {
	host.MaybeShim()
	agenttest.MaybeTool()
	maybeHolder()
	maybeAgent()
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of these tests.
const patience = time.Minute

// program is a Host that runs, like the program around it would.
type program struct {
	*host.Host
	cfg  host.Config
	quit context.CancelFunc
	done chan error
}

func launch(t testing.TB, cfg host.Config) *program {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if cfg.Environ == nil {
		cfg.Environ = environ()
	}
	h, err := host.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{Host: h, cfg: cfg, quit: cancel, done: make(chan error, 1)}
	go func() { p.done <- h.Run(ctx) }()
	t.Cleanup(func() { p.end(t) })
	return p
}

// executable is this test's program.
func executable(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// end lets the Host go; what runs goes on.
func (p *program) end(t testing.TB) {
	t.Helper()
	p.quit()
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		p.done <- nil
	case <-time.After(patience):
		t.Fatal("Run did not return")
	}
}

// restart ends the Host and makes another over the same folder.
func (p *program) restart(t testing.TB) *program {
	t.Helper()
	p.end(t)
	return launch(t, p.cfg)
}

// closeAll closes every lease, so that nothing outlives the test.
func closeAll(t testing.TB, m agent.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	open, _, _, err := m.Renew(ctx, nil, 0)
	if err != nil {
		t.Errorf("Renew: %v", err)
	}
	for _, l := range open {
		if err := m.Close(ctx, l); err != nil {
			t.Errorf("Close %v: %v", l, err)
		}
	}
}

func TestMachine(t *testing.T) {
	store := memory.New(memory.Config{})
	agenttest.Run(t, func(t *testing.T) agent.Machine {
		return launch(t, host.Config{Root: t.TempDir(), CAS: store, CloseGrace: 300 * time.Millisecond})
	}, agenttest.Options{Tool: executable(t), NoTerm: noTerm(), Restart: func(t *testing.T, m agent.Machine) agent.Machine {
		return m.(*program).restart(t)
	}})
}
