package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/outwork-build/outwork/agent/remote"
	"github.com/outwork-build/outwork/agent/update"
	"github.com/outwork-build/outwork/internal/fault"
)

// errUpdate ends the agent so that another program can take its place.
var errUpdate = errors.New("the controller has another agent")

// Exit is the exit code of the program that has taken this one's place, where this one had to wait for it.
type Exit int

func (e Exit) Error() string {
	return fmt.Sprintf("the agent that took over has ended with exit code %d", int(e))
}

// updater is nil for an agent that keeps its program: one that was told to, one that another program started with just this file, and
// one that only its port for agents protects from who stands in between.
func updater(c Config) *update.Updater {
	if c.NoUpdate || c.Argv == nil || c.Stdio || c.Once || c.URL == "" || update.OnTrial() {
		return nil
	}
	if c.usesTCP() && !strings.HasPrefix(c.URL, "https://") {
		c.Logger.Debug("no updates: --url is not https, and the pinned key does not protect what comes from there")
		return nil
	}
	u, err := update.New(update.Config{URL: c.URL, Client: c.client(), State: c.Root, Argv: c.Argv, Verb: c.Verb, Trial: c.UpdateWait, Logger: c.Logger})
	if err != nil {
		c.Logger.Debug("no updates", "reason", err)
		return nil
	}
	return u
}

// lookForUpdate fetches the controller's agent if it is another than this; fetched tells, then. ended is closed when nothing is under
// way any more, which is soon after ctx ends.
func (a *program) lookForUpdate(ctx context.Context) (fetched, ended <-chan struct{}) {
	got, end := make(chan struct{}), make(chan struct{})
	if a.updates == nil {
		close(end)
		return got, end
	}
	go func() {
		defer close(end)
		want, err := a.updates.Check(ctx)
		if err == nil && want != "" {
			a.cfg.Logger.Info("the controller has another agent: it takes over when nothing runs here", "sha256", want)
			err = a.updates.Fetch(ctx, want)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.cfg.Logger.Warn("no update", "error", err)
		case want != "":
			close(got)
		}
	}()
	return got, end
}

// leave ends a connection of which the machine has nothing open. A controller that does not know the notice is told by the end itself.
func (a *program) leave(ctx context.Context, s *remote.Served) {
	ctx, cancel := context.WithTimeout(ctx, noticeLimit)
	defer cancel()
	if err := s.Leave(ctx, noticeLimit); err != nil {
		a.cfg.Logger.Debug("leave", "error", err)
	}
}

// exchange lets the fetched program take this one's place. again: it did not work out, and this one is to go on.
func exchange(ctx context.Context, u *update.Updater, log *slog.Logger) (again bool, err error) {
	if err := u.Try(ctx); err != nil {
		log.Error("update", "error", err)
		return ctx.Err() == nil, nil
	}
	log.Info("the new agent works here: it takes over")
	code, err := u.Become(ctx)
	if err != nil {
		return false, fault.New(fault.Internal, "update: %w", err)
	}
	if code != 0 {
		return false, Exit(code)
	}
	return false, nil
}
