package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/outwork-build/outwork/agent"
)

// Describe says what this computer is and has.
func (h *Host) Describe(ctx context.Context) (agent.Description, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return agent.Description{
		Version:  h.cfg.Version,
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
		Hostname: name,
		CPUs:     runtime.NumCPU(),
		Root:     h.cfg.Root,
		Boot:     h.boot,
		PID:      os.Getpid(),
		Shells:   append([]string(nil), h.shells...),
		Git:      h.git,
		Env:      h.variables(),
	}, ctx.Err()
}

// programs looks for the interpreters and for git on the PATH that steps will have.
func programs(environ []string) (shells []string, git bool) {
	has := func(name string) bool {
		path := lookPath(name, "", variable(environ, "PATH"))
		if path == "" {
			return false
		}
		_, err := exec.LookPath(path)
		return err == nil
	}
	for _, name := range interpreters {
		program := name
		if name == "bat" {
			program = "cmd.exe"
			if runtime.GOOS != "windows" {
				continue
			}
		}
		if has(program) {
			shells = append(shells, name)
		}
	}
	return shells, has("git")
}

// self is the running executable. On Linux it is the file itself, also after an upgrade has put another at its path.
func self() (string, error) {
	const running = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(running); err == nil {
			return running, nil
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Abs(exe)
}
