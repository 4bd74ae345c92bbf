// Package executor is how steps use the executor they run on: they call its machine and run processes there, through broken
// links and restarts of the controller.
//
// It is for effects (step.Effect.Run), which hold no baton. All functions may be called concurrently.
package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// pauseTime is the pause after a call that did not get through although the agent is said to be connected.
const pauseTime = 200 * time.Millisecond

// Call does something on the node's machine, again when the link breaks: what do does must bear being done twice. The error is
// that of do, context.Cause when ctx ended, or the exception of a lost agent.
func Call(ctx context.Context, n *step.Node, do func(agent.Machine) error) error {
	for {
		m, err := n.Machine(ctx)
		if err != nil {
			return ended(ctx, err)
		}
		err = do(m)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case fault.Is(err, fault.Stale):
			return Lost(n, "another attempt has its lease")
		case !fault.Is(err, fault.Unavailable):
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func ended(ctx context.Context, err error) error {
	var e *value.Exception
	if ctx.Err() != nil && !errors.As(err, &e) {
		return context.Cause(ctx)
	}
	return err
}

func pause(ctx context.Context) error {
	t := time.NewTimer(pauseTime)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Lost is the exception of work whose fate on a node is unknown and will stay so. Its tags are what
// retry(conditions: [agent()]) and the build's cause go by.
func Lost(n *step.Node, why string) *value.Exception {
	text := "Agent " + n.Name + " was lost"
	if why != "" {
		text += ": " + why
	}
	return &value.Exception{Class: value.FlowInterrupted, Message: text, Result: "ABORTED", Causes: []string{text}, Tags: []string{"agent", "lost"}}
}

// Refused turns what a machine says against a request into the exception the pipeline's author sees; errors of other kinds, a
// full disk among them, are the farm's and stay what they are.
func Refused(err error) error {
	switch fault.Of(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Denied:
		return value.Abort(err.Error())
	}
	return err
}

// Env is the environment of a step in this scope, for agent.StartRequest: the run's, then the scope's, later ones winning.
// NAME+X=value is laid before NAME as it stands at that point; what the machine has itself comes behind.
func Env(run step.Run, s *step.Scope) map[string]string {
	return environment(append(run.Base(), s.Env...), s.Node.OS)
}

func environment(list []string, os string) map[string]string {
	separator := ":"
	if os == "windows" {
		separator = ";"
	}
	set, before := map[string]string{}, map[string]string{}
	for _, v := range list {
		name, text, _ := strings.Cut(v, "=")
		bare, _, prepends := strings.Cut(name, "+")
		to := before
		if have, ok := set[bare]; ok || !prepends {
			to = set
			if prepends && have != "" {
				text += separator + have
			}
			delete(before, bare)
		} else if have := before[bare]; have != "" {
			text += separator + have
		}
		to[bare] = text
	}
	for name, text := range before {
		set[name+"+OUTWORK"] = text
	}
	return set
}

// StepID is the machine's name for the process of an effect. Addresses longer than a machine takes are shortened.
func StepID(a step.Address) agent.StepID {
	const longest = 512
	if len(a) <= longest {
		return agent.StepID(a)
	}
	sum := sha256.Sum256([]byte(a))
	return agent.StepID(fmt.Sprintf("%s…%s", a[:400], hex.EncodeToString(sum[:])))
}
