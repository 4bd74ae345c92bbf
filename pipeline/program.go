package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/pipeline/declarative"
	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/pipeline/value"
)

// program checks the script and makes the program of it. An error is the author's, and nothing has run.
func (u *run) program(file *jenkinsfile.File, entries []interp.Entry, stop context.CancelCauseFunc) (*interp.Program, error) {
	model, err := declarative.Model(file, u.r.known())
	if err != nil {
		return nil, err
	}
	if model != nil {
		for i, w := range model.Warnings {
			u.say(fmt.Sprintf("warning.%d", i), fmt.Sprintf("WARNING: %s: %d: %s", w.File, w.Pos.Line, w.Message))
		}
	}
	params := value.NewMap()
	u.params = params
	u.fillParams(u.job.Properties.Parameters)
	c := interp.Config{
		File: file, Steps: u.r.steps, Symbols: u.r.c.Symbols, Run: u, Replay: entries, Log: u.log,
		Journal: keeper{u, stop}, SetEnv: u.env.put, Around: u.around,
		Globals: map[string]value.Value{"params": params},
		Changed: func(p *interp.Program) { u.r.look(u, p) },
		Forms:   map[string]interp.Form{},
	}
	c.Globals["scm"] = value.Pairs("$class", "scm") // without a repository, checkout says so
	var scm value.Value
	if u.source != nil {
		scm = c.Globals["scm"]
	}
	if model != nil {
		c.Forms["pipeline"] = declarative.Form(model, u.r.steps, scm)
	}
	current := &currentBuild{u: u}
	c.Globals["currentBuild"] = current
	p, err := interp.New(c)
	current.p = p
	return p, err
}

// known is what the validator has to know of this controller.
func (r *Runner) known() jenkinsfile.Known {
	k := jenkinsfile.Known{Globals: []string{"currentBuild", "env", "params", "scm"}, Symbols: slices.Sorted(maps.Keys(r.c.Symbols)),
		NoLibraries: true, Elsewhere: jenkinsfile.PluginSteps()}
	for _, name := range slices.Sorted(maps.Keys(r.steps)) {
		s := r.steps[name].Spec()
		spec := jenkinsfile.StepSpec{Name: s.Name, Sole: s.Sole, Rest: s.Rest, Block: s.Block, BodyOptional: s.BodyOptional, Option: s.Option}
		for _, p := range s.Params {
			spec.Params = append(spec.Params, jenkinsfile.ParamSpec{Name: p.Name, Type: jenkinsfile.ParamType(p.Type), Required: p.Required, Enum: p.Enum})
		}
		k.Steps = append(k.Steps, spec)
	}
	return k
}

// around prints the frame of every program.
func (u *run) around(t *interp.Thread, script func() (value.Value, error)) error {
	t.Print("[Pipeline] Start of Pipeline")
	_, err := script()
	t.Print("[Pipeline] End of Pipeline")
	return err
}

// Declare implements step.Learner.
func (u *run) Declare(ps []build.Parameter) {
	u.mu.Lock()
	u.record.Parameters = declared(u.record.Parameters, ps)
	all := u.record.Parameters
	u.mu.Unlock()
	u.env.declare(all)
	u.fillParams(ps)
}

// fillParams makes the values of the `params` map: booleans are booleans, all else is text.
func (u *run) fillParams(ps []build.Parameter) {
	given := u.Build().Parameters
	kinds := map[string]string{}
	for _, p := range ps {
		kinds[p.Name] = p.Kind
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if kinds[name] == "boolean" {
			u.params.Put(name, given[name] == "true")
			continue
		}
		if _, ok := u.params.Get(name); !ok || kinds[name] != "" {
			u.params.Put(name, given[name])
		}
	}
}

// Output implements step.Run. The text of a thread ("b:" and its path) is cut into one stream for each stretch in a stage, so that
// every line belongs to its stage, and another when timestamps begin or end; a stretch is named by where it begins, which is the same on replay.
func (u *run) Output(a step.Address, stage string) step.Stream {
	var s step.Stream
	if strings.HasPrefix(string(a), "b:") {
		s = &stretch{u: u, thread: string(a), stage: stage}
	} else {
		s = u.out.Load().Stream(string(a), stage)
	}
	return heard{s, &u.listeners, string(a)}
}

// stretch is what a thread prints while it stands in one stage. When the run is to be stopped it takes nothing any more: what
// a stopped program prints on its way out is not part of it.
type stretch struct {
	u             *run
	thread, stage string

	mu    sync.Mutex
	stamp bool
	first int64
	to    *log.Stream // nil before the first byte
}

func (s *stretch) open(off int64) *log.Stream {
	if s.to == nil {
		s.first, s.to = off, s.u.out.Load().Stream(fmt.Sprintf("%s@%d", s.thread, off), s.stage)
		if s.stamp {
			s.to.Stamp()
		}
	}
	return s.to
}

// Stamp implements step.Stamper.
func (s *stretch) Stamp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp = true
}

func (s *stretch) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.u.ctx.Err() != nil {
		return len(p), nil
	}
	to := s.open(off)
	return to.WriteAt(p, off-s.first)
}

func (s *stretch) Write(p []byte) (int, error) { return s.WriteAt(p, s.Received()) }

func (s *stretch) Received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		return 0
	}
	return s.first + s.to.Received()
}

func (s *stretch) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		return nil
	}
	return s.to.Sync()
}

func (s *stretch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil || s.u.ctx.Err() != nil {
		return nil
	}
	return s.to.Close()
}
