package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
	"github.com/outwork-build/outwork/queue"
)

// Process is a process that an effect runs. Its address must be the effect's own (or grow from it): it names the process on
// the machine and its part of the console, by which both are found again.
type Process struct {
	Run     step.Run
	Node    *step.Node
	Address step.Address
	Stage   string             // Scope.StageID
	Stamps  bool               // Scope.Timestamps
	Request agent.StartRequest // Lease and Step are filled in
	Grace   time.Duration      // between TERM and KILL when it is interrupted; 0 is 20 s
}

const (
	defaultGrace = 20 * time.Second
	// lastWait is how long an interrupted effect waits for its process beyond the grace. What then still runs goes when the
	// lease is closed.
	lastWait = 30 * time.Second
)

// Do starts the process, or finds it started, and passes its output on until it ends. It may be called again after a restart of
// the controller and goes on where the console stopped.
//
// When ctx ends by an interruption (its cause is a *value.Exception) the process is stopped, its end is awaited, and the cause
// is returned; when it ends otherwise, that is because the controller stops, the process runs on. A process whose fate is
// unknown gives the exception of Lost. Other errors are the machine's.
func (p Process) Do(ctx context.Context) (agent.Exit, error) {
	p.Request.Lease, p.Request.Step = p.Node.Grant.Lease(), StepID(p.Address)
	if p.Grace == 0 {
		p.Grace = defaultGrace
	}
	out := step.Stamped(p.Run.Output(p.Address, p.Stage), p.Stamps)
	defer out.Close()
	var exit agent.Exit
	started := false
	err := ctx.Err()
	if err == nil {
		err = Call(ctx, p.Node, func(m agent.Machine) (err error) {
			if r, ok := m.(agent.Runner); ok && !started {
				exit, err = r.Run(ctx, p.Request, out.Received(), func() { started = true }, sinkTo(out))
				return err
			}
			if !started {
				if err := m.Start(ctx, p.Request); err != nil {
					return fmt.Errorf("start: %w", err)
				}
				started = true
			}
			exit, err = p.follow(ctx, m, out)
			return err
		})
	}
	if ctx.Err() != nil {
		var interruption *value.Exception
		if errors.As(context.Cause(ctx), &interruption) {
			p.stop(context.WithoutCancel(ctx), out, interruption)
			_ = p.marked(out, interruption)
		}
		return exit, context.Cause(ctx)
	}
	// The lease was open when the node was acquired, and an earlier life of the controller may have started the process in it. A
	// machine that does not have it any more cannot say, and whether to start it again is not for this place.
	if fault.Is(err, fault.NotFound) {
		return exit, p.marked(out, Lost(p.Node, "it does not know the process any more"))
	}
	if err != nil {
		return exit, p.marked(out, err)
	}
	return exit, p.settle(exit, out)
}

// marked returns err, and when that says that the process was lost, marks where its output ends: what it wrote after, nobody has.
func (p Process) marked(out step.Stream, err error) error {
	var e *value.Exception
	if errors.Is(err, queue.ErrLost) || errors.As(err, &e) && slices.Contains(e.Tags, "agent") {
		p.note("lost", fmt.Sprintf("[output of this step after its first %d bytes may be missing: agent %s was lost]\n", out.Received(), p.Node.Name))
	}
	return err
}

func (p Process) follow(ctx context.Context, m agent.Machine, out step.Stream) (agent.Exit, error) {
	return m.Follow(ctx, p.Request.Lease, p.Request.Step, out.Received(), sinkTo(out))
}

func sinkTo(out step.Stream) func(agent.Output) error {
	return func(o agent.Output) error {
		_, err := out.WriteAt(o.Data, o.Offset)
		return err
	}
}

// settle makes the output durable and judges the end.
func (p Process) settle(exit agent.Exit, out step.Stream) error {
	if exit.Dropped > 0 {
		p.note("dropped", fmt.Sprintf("[%d bytes of output were not kept: the limit of the step was reached, or the agent's disk was full]\n", exit.Dropped))
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if exit.Lost {
		return p.marked(out, Lost(p.Node, exit.Reason))
	}
	return nil
}

// stop ends the process of an interrupted effect and passes its last words on, as far as the machine can be reached in time. What
// is left when the run is ended at once goes with its lease.
func (p Process) stop(ctx context.Context, out step.Stream, why *value.Exception) {
	last := step.Last(ctx)
	ctx, cancel := context.WithTimeout(ctx, p.Grace+lastWait)
	defer cancel()
	go func() {
		select {
		case <-last:
			cancel()
		case <-ctx.Done():
		}
	}()
	_ = Call(ctx, p.Node, func(m agent.Machine) error {
		err := m.Stop(ctx, agent.StopRequest{Lease: p.Request.Lease, Step: p.Request.Step, Grace: p.Grace, Reason: why.Error()})
		if err != nil {
			return err // it had not been started, or is forgotten
		}
		p.note("interrupt", "Sending interrupt signal to process\n")
		exit, err := p.follow(ctx, m, out)
		if err != nil {
			return err
		}
		return p.settle(exit, out)
	})
}

// note writes a line of ours, once, in a stream of its own: the process's is addressed by the bytes it wrote.
func (p Process) note(key, line string) {
	s := step.Stamped(p.Run.Output(p.Address+step.Address(":"+key), p.Stage), p.Stamps)
	defer s.Close()
	_, _ = s.WriteAt([]byte(line), 0)
}

// Forget lets the machine forget a process: call it when what the process gave is durable.
func Forget(ctx context.Context, n *step.Node, a step.Address) {
	_ = Call(ctx, n, func(m agent.Machine) error { return m.Forget(ctx, n.Grant.Lease(), StepID(a)) })
}
