package shim

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// status is how a process ended.
type status struct {
	code   int
	signal string
}

// family is every process of the lease: each step is a job object inside the lease's own, which ends with the shim.
type family struct {
	ended func(pid int, st status)

	mu     sync.Mutex
	job    windows.Handle         // of the lease; its processes are killed when the shim's handle closes
	steps  map[int]windows.Handle // job objects by the pid of the step's first process
	reaped chan struct{}
}

func newFamily(ended func(int, status)) (*family, error) {
	signal.Ignore(os.Interrupt)
	f := &family{ended: ended, steps: map[int]windows.Handle{}, reaped: make(chan struct{}, 1)}
	var err error
	f.job, err = newJob()
	return f, err
}

func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, err
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return job, err
}

// start runs a process in a console group of its own, within the lease's job object.
func (f *family) start(st *Start, env []string, stdout, stderr *os.File) (int, error) {
	cmd := &exec.Cmd{Path: st.Path, Args: st.Argv, Dir: st.Dir, Env: env, Stdout: stdout, Stderr: stderr,
		SysProcAttr: &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	step, err := f.confine(pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, err
	}
	f.steps[pid] = step
	go func() {
		_ = cmd.Wait()
		f.mu.Lock()
		f.mu.Unlock() //nolint:staticcheck // waits until start has returned its pid
		f.ended(pid, status{code: cmd.ProcessState.ExitCode()})
		select {
		case f.reaped <- struct{}{}:
		default:
		}
	}()
	return pid, nil
}

func (f *family) confine(pid int) (windows.Handle, error) {
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(h)
	if err := windows.AssignProcessToJobObject(f.job, h); err != nil {
		return 0, err
	}
	step, err := newJob()
	if err != nil {
		return 0, err
	}
	return step, windows.AssignProcessToJobObject(step, h)
}

func notStarted(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return 127
	}
	return 126
}

// active is the number of living processes in a job object.
func active(job windows.Handle) uint32 {
	var info struct {
		TotalUserTime, TotalKernelTime, ThisPeriodTotalUserTime, ThisPeriodTotalKernelTime int64
		TotalPageFaultCount, TotalProcesses, ActiveProcesses, TotalTerminatedProcesses     uint32
	}
	err := windows.QueryInformationJobObject(job, windows.JobObjectBasicAccountingInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	if err != nil {
		return 1
	}
	return info.ActiveProcesses
}

// empty reports whether no process of the family lives.
func (f *family) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if active(f.job) > 0 {
		return false
	}
	for pid, h := range f.steps {
		_ = windows.CloseHandle(h)
		delete(f.steps, pid)
	}
	return true
}

// endStep asks a step's console group to break, or ends its job object.
func (f *family) endStep(pid int, _ string, kill bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	step, ok := f.steps[pid]
	switch {
	case !ok:
	case kill:
		_ = windows.TerminateJobObject(step, 137)
	default:
		_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pid))
	}
}

func (f *family) endAll(kill bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if kill {
		_ = windows.TerminateJobObject(f.job, 137)
		return
	}
	for pid := range f.steps {
		_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pid))
	}
}

// KillOrphans has nothing to do: the lease's job object ended with its shim.
func KillOrphans(string) bool { return true }

// listen and quieten have nothing to do: the end of each step is waited for by itself.
func (f *family) listen()  {}
func (f *family) quieten() {}
