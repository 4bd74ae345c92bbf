package host

import (
	"bytes"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/internal/fault"
)

// interpreters are the shells that a machine may have, in the order Describe lists them.
var interpreters = [...]string{"sh", "bat", "powershell", "pwsh"}

// command returns the argv of a step, which lacks the script's file at its end, and the ending of that file's name.
func (h *Host) command(r agent.StartRequest) (argv []string, ext string, err error) {
	if r.Script == nil {
		for _, a := range r.Argv {
			if strings.ContainsRune(a, 0) {
				return nil, "", fault.New(fault.Invalid, "step %q: an argument holds a NUL byte", r.Step)
			}
		}
		return r.Argv, "", nil
	}
	name := r.Interpreter
	if name == "" {
		name = "sh"
	}
	if !slices.Contains(interpreters[:], name) {
		return nil, "", fault.New(fault.Invalid, "step %q: interpreter %q: expected one of %s", r.Step, name, strings.Join(interpreters[:], ", "))
	}
	if !slices.Contains(h.shells, name) {
		return nil, "", fault.New(fault.Invalid, "step %q: this machine has no %s, only %s", r.Step, name, strings.Join(h.shells, ", "))
	}
	switch name {
	case "bat":
		return []string{"cmd.exe", "/d", "/s", "/c"}, ".bat", nil
	case "powershell", "pwsh":
		return []string{name, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"}, ".ps1", nil
	}
	if program, ok := shebang(r.Script); ok {
		return program, ".sh", nil
	}
	return []string{"sh", "-xe"}, ".sh", nil
}

// shebang reads an interpreter line as Linux does: a program and at most one argument. We run the program ourselves, so that
// scripts work where files cannot be executed (noexec), and without a race against other processes that hold the file.
func shebang(script []byte) ([]string, bool) {
	line, _, _ := bytes.Cut(script, []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	if !ok {
		return nil, false
	}
	program, arg, _ := strings.Cut(strings.Trim(strings.ReplaceAll(string(rest), "\t", " "), " \r"), " ")
	if program == "" || strings.ContainsRune(program+arg, 0) {
		return nil, false
	}
	if arg = strings.Trim(arg, " "); arg != "" {
		return []string{program, arg}, true
	}
	return []string{program}, true
}

// variable returns the value of name, which is in capitals, in an environment list.
func variable(env []string, name string) string {
	for _, v := range env {
		if n, value, _ := strings.Cut(v, "="); foldName(n) == name {
			return value
		}
	}
	return ""
}
