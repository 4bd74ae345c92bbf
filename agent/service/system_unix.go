//go:build unix

package service

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/outwork-build/outwork/internal/fault"
)

// system finds this machine's manager of services.
func system() (manager, error) {
	if runtime.GOOS == "darwin" {
		return newLaunchd(), nil
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return newSystemd(), nil
	}
	return nil, fault.New(fault.Invalid, "this machine has neither systemd nor launchd: let its own manager of services run outwork agent "+
		"(or outwork-agent) with OUTWORK_URL, OUTWORK_NAME and OUTWORK_ROOT in the environment, start it again whenever it ends but with exit code 2, and stop "+
		"it by SIGTERM to its process alone")
}

// makeFolders makes the service's folder and that of its program.
func (s *Spec) makeFolders() error { return os.MkdirAll(filepath.Join(s.Root, "bin"), 0o755) }

// give makes files a user's.
func give(name string, paths ...string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fault.New(fault.Invalid, "--user: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("--user %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("--user %s: %w", name, err)
	}
	for _, p := range paths {
		if err := os.Chown(p, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// Host runs the agent; managers here need nothing of it.
func Host(ctx context.Context, _ string, run func(context.Context) int) int { return run(ctx) }
