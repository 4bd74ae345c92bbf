// Command graph measures what building a graph of tasks costs beside what the tasks themselves do.
//
// It makes a graph in layers: each task has a source of its own, requires some tasks of the layer before, and does next to nothing. The real
// program builds it, started anew each time: cold, with all of it in the cache, and after a change to one source; with what the change
// reaches ending in other bytes, and ending in the same. In the same run make does the same work without keys, cache or sandbox, and a
// shell runs the same number of times alone. Of all figures it prints the median, the least and the most of the rounds, and the median of the
// CPU time that the program and all that it started took: on a machine that does other work, too, that is the one to compare.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	s := shape{}
	flag.IntVar(&s.layers, "layers", 10, "layers of the graph")
	flag.IntVar(&s.width, "width", 20, "tasks in a layer")
	flag.IntVar(&s.requires, "requires", 3, "tasks of the layer before that each requires")
	rounds := flag.Int("rounds", 5, "how often all of it is done")
	data := flag.String("data", "", "folder for the data (default: a temporary one)")
	box := flag.String("sandbox", "", "sandbox of the tasks (default: the best that works)")
	jobs := flag.Int("jobs", 2, "tasks at once, for outwork and make")
	flag.Parse()
	if err := run(s, *rounds, *data, *box, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "graph:", err)
		os.Exit(1)
	}
}

// shape is how a graph looks.
type shape struct{ layers, width, requires int }

func (s shape) name(layer, i int) string { return fmt.Sprintf("t%d-%d", layer, i) }

// uses calls each for the tasks that one requires.
func (s shape) uses(layer, i int, each func(name string)) {
	for k := range s.requires {
		if layer > 0 && k < s.width {
			each(s.name(layer-1, (i+k*7)%s.width))
		}
	}
}

// write makes the workspace: a recipe and a Makefile of the same graph.
func (s shape) write(dir string) error {
	var star, mk, all strings.Builder
	files := map[string]string{}
	for l := range s.layers {
		for i := range s.width {
			name := s.name(l, i)
			files["src/"+name] = name + "\n"
			var requires, paths []string
			s.uses(l, i, func(n string) { requires, paths = append(requires, fmt.Sprintf("%q", n)), append(paths, "build/"+n) })
			fmt.Fprintf(&star, "task(name = %q, sources = %q, requires = [%s], run = \"grep -v '^#' src/%s > $OUTWORK_OUT/f; for d in $OUTWORK_DEPS/*/f; do [ ! -f $d ] || cksum < $d >> $OUTWORK_OUT/f; done\")\n",
				name, "src/"+name, strings.Join(requires, ", "), name)
			fmt.Fprintf(&mk, "build/%s: src/%s %s\n\t@grep -v '^#' src/%s > $@; for d in %s; do cksum < $$d >> $@; done\n", name, name, strings.Join(paths, " "), name, strings.Join(paths, " "))
			if l == s.layers-1 {
				fmt.Fprintf(&all, " build/%s", name)
			}
		}
	}
	fmt.Fprintf(&star, "alias(name = \"all\", tasks = [\"t%d-%%d\" %% i for i in range(%d)])\n", s.layers-1, s.width)
	files["outwork.star"] = star.String()
	files["Makefile"] = "all:" + all.String() + "\n" + mk.String()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "build"), 0o755)
}

// bench is a workspace and the programs that build it.
type bench struct {
	shape
	dir, cache, program string
	box                 string
	jobs                int
	times, cpu          map[string][]time.Duration
	order               []string
}

func run(s shape, rounds int, data, box string, jobs int) error {
	dir, err := os.MkdirTemp(data, "outwork-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{shape: s, dir: filepath.Join(dir, "ws"), cache: filepath.Join(dir, "cache"), program: filepath.Join(dir, "outwork"), box: box, jobs: jobs, times: map[string][]time.Duration{}, cpu: map[string][]time.Duration{}}
	if out, err := exec.Command("go", "build", "-o", b.program, "github.com/outwork-build/outwork/cmd/outwork").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for range rounds {
		if err := b.round(); err != nil {
			return err
		}
	}
	b.print()
	return nil
}

func (b *bench) round() error {
	for _, dir := range []string{b.dir, b.cache} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := b.write(b.dir); err != nil {
		return err
	}
	n := b.layers * b.width
	first := filepath.Join(b.dir, "src", b.name(0, 0))
	for _, step := range []struct {
		what string
		text string // of the first source before it; "" leaves it
		do   func() (cpu time.Duration, err error)
	}{
		{fmt.Sprintf("sh -c true, %d times, one at a time", n), "", func() (time.Duration, error) { return times(n, "sh", "-c", "true") }},
		{"make, cold", "", b.make},
		{"make, nothing to do", "", b.make},
		{"outwork version", "", func() (time.Duration, error) { return times(1, b.program, "version") }},
		{"outwork, cold", "", b.outwork},
		{"outwork, all in the cache", "", b.outwork},
		{"outwork, all in the cache, again", "", b.outwork},
		{"make, a comment in one source changed", "# comment\n" + b.name(0, 0) + "\n", b.make},
		{"outwork, a comment in one source changed", "# other comment\n" + b.name(0, 0) + "\n", b.outwork},
		{"make, one source changed", "changed\n", b.make},
		{"outwork, one source changed", "changed otherwise\n", b.outwork},
	} {
		if step.text != "" {
			if err := os.WriteFile(first, []byte(step.text), 0o644); err != nil {
				return err
			}
		}
		began := time.Now()
		cpu, err := step.do()
		took := time.Since(began)
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		if b.times[step.what] == nil {
			b.order = append(b.order, step.what)
		}
		b.times[step.what], b.cpu[step.what] = append(b.times[step.what], took), append(b.cpu[step.what], cpu)
	}
	return nil
}

func times(n int, name string, args ...string) (cpu time.Duration, err error) {
	for range n {
		c, err := used(exec.Command(name, args...))
		if err != nil {
			return 0, err
		}
		cpu += c
	}
	return cpu, nil
}

func (b *bench) make() (time.Duration, error) {
	return used(exec.Command("make", "-s", "-C", b.dir, fmt.Sprintf("-j%d", b.jobs), "all"))
}

func (b *bench) outwork() (time.Duration, error) {
	args := []string{"build", "all", "-C", b.dir, "--cache", b.cache, "--jobs", fmt.Sprint(b.jobs)}
	if b.box != "" {
		args = append(args, "--sandbox", b.box)
	}
	return used(exec.Command(b.program, args...))
}

// used runs a program and returns the CPU time that it and its children took.
func used(cmd *exec.Cmd) (time.Duration, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

func (b *bench) print() {
	fmt.Printf("%d tasks in %d layers, each requires %d; %d at once\n\n", b.layers*b.width, b.layers, b.requires, b.jobs)
	for _, what := range b.order {
		t := slices.Sorted(slices.Values(b.times[what]))
		c := slices.Sorted(slices.Values(b.cpu[what]))
		fmt.Printf("%-42s %8.1f ms (%.1f to %.1f), CPU %.1f ms\n", what, ms(t[len(t)/2]), ms(t[0]), ms(t[len(t)-1]), ms(c[len(c)/2]))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
