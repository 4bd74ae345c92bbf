package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/privacy"
)

func system() (manager, error) { return scm{}, nil }

// give lets the service's user read the secret file, the last of paths, and nobody else who is no administrator.
func give(name string, paths ...string) error {
	return invalidUser(name, privacy.Protect(paths[len(paths)-1], others(name)...))
}

// makeFolders makes the service's folder and that of its program. Below C:\ProgramData every user of the machine may read and add
// files, and what lies beside a program is loaded by it: so a folder that is not there yet is nobody else's.
func (s *Spec) makeFolders() error {
	if _, err := os.Stat(s.Root); errors.Is(err, fs.ErrNotExist) {
		if err := invalidUser(s.User, privacy.Make(s.Root, others(s.User)...)); err != nil {
			return err
		}
	}
	return invalidUser(s.User, privacy.Make(filepath.Join(s.Root, "bin"), others(s.User)...))
}

func others(user string) []string {
	if user == "" {
		return nil
	}
	return []string{user}
}

func invalidUser(user string, err error) error {
	if user != "" && errors.Is(err, windows.ERROR_NONE_MAPPED) {
		return fault.New(fault.Invalid, "--user: %w", err)
	}
	return err
}

// scm is the Windows service manager.
type scm struct{}

// patience is how long a service may take to stop.
const patience = time.Minute

func open(id string, do func(*mgr.Mgr, *mgr.Service) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("reach the service manager (is this an administrator's shell?): %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(id)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(m, s)
}

func (scm) install(_ context.Context, spec Spec) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("reach the service manager (is this an administrator's shell?): %w", err)
	}
	defer m.Disconnect()
	s, err := m.CreateService(ID(spec.Name), spec.program(), mgr.Config{
		DisplayName: "Outwork agent " + spec.Name, Description: "Runs build steps for " + spec.Env["OUTWORK_URL"],
		StartType: mgr.StartAutomatic, ServiceStartName: spec.User, Password: spec.Password,
	}, spec.args("run-service", spec.secrets(), ID(spec.Name))...)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := restarts(s); err != nil {
		return errors.Join(fmt.Errorf("have it started again when it fails: %w", err), s.Delete())
	}
	return nil
}

// restarts has a service started again whenever it fails. Wine knows no such thing.
func restarts(s *mgr.Service) error {
	again := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: 5 * time.Second}
	err := s.SetRecoveryActions([]mgr.RecoveryAction{again, again, again}, 60)
	if err == nil {
		err = s.SetRecoveryActionsOnNonCrashFailures(true)
	}
	if errors.Is(err, windows.ERROR_INVALID_LEVEL) {
		return nil
	}
	return err
}

func (m scm) uninstall(ctx context.Context, id string) error {
	if err := m.stop(ctx, id); err != nil {
		return err
	}
	return open(id, func(_ *mgr.Mgr, s *mgr.Service) error { return s.Delete() })
}

func (scm) start(_ context.Context, id string) error {
	return open(id, func(_ *mgr.Mgr, s *mgr.Service) error {
		err := s.Start()
		if errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return nil
		}
		return err
	})
}

// stop waits until the service has stopped, as one that is being stopped can be neither started nor removed.
func (scm) stop(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return open(id, func(_ *mgr.Mgr, s *mgr.Service) error {
		_, err := s.Control(svc.Stop)
		if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			return nil
		}
		if err != nil {
			return err
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			st, err := s.Query()
			if err != nil || st.State == svc.Stopped {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return errors.New("it has not stopped in time")
			}
		}
	})
}

func (scm) status(_ context.Context, id string) (State, error) {
	state := Stopped
	err := open(id, func(_ *mgr.Mgr, s *mgr.Service) error {
		st, err := s.Query()
		if st.State == svc.Running || st.State == svc.StartPending {
			state = Running
		}
		return err
	})
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return Missing, nil
	}
	return state, err
}

// Host runs the agent as the service that the manager has started. It returns run's exit code.
func Host(ctx context.Context, id string, run func(context.Context) int) int {
	h := &handler{ctx: ctx, run: run}
	if err := svc.Run(id, h); err != nil {
		return 1
	}
	return h.code
}

type handler struct {
	ctx  context.Context
	run  func(context.Context) int
	code int
}

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- h.run(ctx) }()
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	changes <- running
	for {
		select {
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				cancel()
				changes <- svc.Status{State: svc.StopPending, WaitHint: uint32(patience.Milliseconds())}
			}
		case h.code = <-ended:
			return h.code != 0, uint32(h.code)
		}
	}
}
