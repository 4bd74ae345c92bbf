package world

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// PID is the agent's process.
func (a *Agent) PID() int { return a.process.cmd.Process.Pid }

// AgentsBelow are the processes of agents over a folder that serve who started them.
func AgentsBelow(root string) (pids []int) {
	for _, p := range Leftovers(root) {
		pid, _ := strconv.Atoi(strings.Fields(p)[0])
		program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if strings.HasPrefix(filepath.Base(program), "outwork") && strings.Contains(p, " --stdio") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Running are the processes with a program and one argument of it, whoever started them.
func Running(program, argument string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range all {
		b, _ := os.ReadFile(name)
		args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
		if len(args) == 2 && filepath.Base(args[0]) == program && args[1] == argument {
			found = append(found, filepath.Base(filepath.Dir(name))+" "+strings.Join(args, " "))
		}
	}
	return found
}

// Metric is a figure of the controller's metrics.
func (w *World) Metric(name string) float64 {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.URL+"/metrics", nil)
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				w.T.Fatal(err)
			}
			return n
		}
	}
	w.T.Fatalf("the controller has no metric %s (%s)", name, resp.Status)
	return 0
}
