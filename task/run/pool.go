package run

import (
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task/recipe"
)

// pool is what the machine has for tasks. The walk alone uses it.
type pool struct {
	cpu, jobs       int   // free, and all
	memory, all     int64 // free, and all; 0 of all is not counted
	named, allNamed map[string]int
}

func newPool(cfg Config) *pool {
	p := &pool{cpu: cfg.Jobs, jobs: cfg.Jobs, memory: cfg.Memory, all: cfg.Memory, named: map[string]int{}, allNamed: map[string]int{}}
	for k, n := range cfg.Named {
		p.named[k], p.allNamed[k] = n, n
	}
	return p
}

// possible refuses a task that could wait for ever, and makes one of each resource that it is the first to name.
func (p *pool) possible(t *recipe.Task) error {
	for k, n := range t.Resources.Named {
		if _, ok := p.allNamed[k]; !ok {
			p.named[k], p.allNamed[k] = 1, 1
		}
		if n > p.allNamed[k] {
			return fault.New(fault.Invalid, "%s: task %q needs %s=%d, here is %d; say --resource %s=%d", t.Pos, t.ID, k, n, p.allNamed[k], k, n)
		}
	}
	return nil
}

// needs is what a task takes: not more CPUs and memory than there are, so that a large one runs alone.
func (p *pool) needs(t *recipe.Task) (cpu int, memory int64) {
	return min(max(1, t.Resources.CPU), p.jobs), min(t.Resources.Memory, p.all)
}

// take takes a task's resources if they are there.
func (p *pool) take(t *recipe.Task) bool {
	cpu, memory := p.needs(t)
	if cpu > p.cpu || p.all > 0 && memory > p.memory {
		return false
	}
	for k, n := range t.Resources.Named {
		if n > p.named[k] {
			return false
		}
	}
	p.give(t, -1)
	return true
}

// give gives a task's resources back; with a sign of -1 it takes them.
func (p *pool) give(t *recipe.Task, sign int) {
	cpu, memory := p.needs(t)
	p.cpu += sign * cpu
	p.memory += int64(sign) * memory
	for k, n := range t.Resources.Named {
		p.named[k] += sign * n
	}
}
