package shim

import (
	"errors"
	"fmt"
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

	null *os.File // every process's stdin

	mu     sync.Mutex
	job    windows.Handle  // of the lease; its processes are killed when the shim's handle closes
	steps  map[int]*member // by the pid of the step's first process, while anything of the step lives
	reaped chan struct{}
}

// member is a step's tree.
type member struct {
	job    windows.Handle
	ended  bool // its first process has
	killed bool // before that
}

func newFamily(ended func(int, status)) (*family, error) {
	// Caught and dropped: what is only ignored goes to the system's handler, which ends the process. The second is also what a
	// service hears when someone logs off.
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, os.Interrupt, syscall.SIGTERM)
	// The steps' console speaks UTF-8, as the rest of Outwork does. Without a console there is nothing to be told.
	const utf8 = 65001
	_ = windows.SetConsoleCP(utf8)
	_ = windows.SetConsoleOutputCP(utf8)
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	f := &family{ended: ended, null: null, steps: map[int]*member{}, reaped: make(chan struct{}, 1)}
	f.job, err = newJob(windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)
	return f, err
}

func newJob(limits uint32) (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil || limits == 0 {
		return job, err
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = limits
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return job, err
}

// start runs a process in a console group of its own, within the lease's job object. It is in there before its first instruction,
// so that nothing it starts is left out.
func (f *family) start(st *Start, env []string, stdout, stderr *os.File) (int, error) {
	if st.Path == "" {
		return 0, exec.ErrNotFound
	}
	cmd := &exec.Cmd{Path: st.Path, Args: st.Argv, Dir: st.Dir, Env: env, Stdin: f.null, Stdout: stdout, Stderr: stderr,
		SysProcAttr: &syscall.SysProcAttr{CmdLine: st.Line, CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_SUSPENDED}}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	job, err := f.confine(pid)
	if err == nil {
		err = resume(pid)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if job != 0 {
			_ = windows.CloseHandle(job)
		}
		return 0, fmt.Errorf("put it into a job object: %w", err)
	}
	if old := f.steps[pid]; old != nil { // it left a background process, which the lease's job object has
		_ = windows.CloseHandle(old.job)
	}
	m := &member{job: job}
	f.steps[pid] = m
	go func() {
		_ = cmd.Wait()
		f.mu.Lock()
		m.ended = true
		st := status{code: int(int32(cmd.ProcessState.ExitCode()))} // as Windows' own tools show it
		if m.killed && st.code == killedCode {
			st.signal = "killed"
		}
		if f.steps[pid] == m && active(m.job) == 0 {
			f.drop(pid, m)
		}
		f.mu.Unlock()
		f.ended(pid, st)
		select {
		case f.reaped <- struct{}{}:
		default:
		}
	}()
	return pid, nil
}

// killedCode is what a process ends with that we kill: that of a shell on unix.
const killedCode = 137

// confine puts a process into the lease's job object and into one of its own within that.
func (f *family) confine(pid int) (windows.Handle, error) {
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(h)
	if err := windows.AssignProcessToJobObject(f.job, h); err != nil {
		return 0, err
	}
	step, err := newJob(0)
	if err != nil {
		return 0, err
	}
	return step, windows.AssignProcessToJobObject(step, h)
}

// resume lets a process run that was started suspended: it has one thread.
func resume(pid int) error {
	all, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(all)
	t := windows.ThreadEntry32{}
	t.Size = uint32(unsafe.Sizeof(t))
	for err = windows.Thread32First(all, &t); err == nil; err = windows.Thread32Next(all, &t) {
		if t.OwnerProcessID != uint32(pid) {
			continue
		}
		h, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, t.ThreadID)
		if err != nil {
			return err
		}
		defer windows.CloseHandle(h)
		_, err = windows.ResumeThread(h)
		return err
	}
	return fmt.Errorf("find its thread: %w", err)
}

func notStarted(err error) int {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
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
	for pid, m := range f.steps {
		if !m.ended { // its end is on the way
			return false
		}
		f.drop(pid, m)
	}
	return true
}

// drop forgets a step of which nothing lives. Call it with f.mu held.
func (f *family) drop(pid int, m *member) {
	_ = windows.CloseHandle(m.job)
	delete(f.steps, pid)
}

// endStep asks a step's console group to break, or ends its job object.
func (f *family) endStep(pid int, _ string, kill bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.steps[pid]
	switch {
	case m == nil:
	case kill:
		m.killed = m.killed || !m.ended
		_ = windows.TerminateJobObject(m.job, killedCode)
	default:
		m.ask(pid)
	}
}

// ask has a step's processes hear Ctrl-Break. Those that have left its console do not.
func (m *member) ask(pid int) {
	if !m.ended { // otherwise the number may be another's
		_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(pid))
	}
}

func (f *family) endAll(kill bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for pid, m := range f.steps {
		if kill {
			m.killed = m.killed || !m.ended
		} else {
			m.ask(pid)
		}
	}
	if kill {
		_ = windows.TerminateJobObject(f.job, killedCode)
	}
}

// KillOrphans has nothing to do: the lease's job object ended with its shim.
func KillOrphans(string) bool { return true }

// listen and quieten have nothing to do: the end of each step is waited for by itself.
func (f *family) listen()  {}
func (f *family) quieten() {}
