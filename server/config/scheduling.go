package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
)

// scheduling reads the policy by which work is given to nodes.
func (r *reader) scheduling(to **queue.Policy) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		p := &queue.Policy{}
		*to = p
		w := &p.Weights
		r.mapping(n, path,
			field{"pack", r.flag(&p.Pack)},
			field{"long", r.duration(&p.Long)},
			field{"weights", func(n ast.Node, path string) {
				r.mapping(n, path, field{"last", r.float(&w.Last)}, field{"free", r.float(&w.Free)}, field{"speed", r.float(&w.Speed)},
					field{"distance", r.float(&w.Distance)}, field{"controller", r.float(&w.Controller)})
			}},
			field{"limits", r.keyed(func(key string, n ast.Node, path string) {
				var most int
				r.number(&most)(n, path)
				if p.Limits == nil {
					p.Limits = map[string]int{}
				}
				p.Limits[key] = most
				r.refuse(path, queue.Policy{Limits: map[string]int{key: most}})
			})},
			field{"allow", r.keyed(func(key string, n ast.Node, path string) {
				var jobs []string
				r.words(&jobs, strings.Fields)(n, path)
				if p.Allow == nil {
					p.Allow = map[fleet.NodeName][]string{}
				}
				p.Allow[fleet.NodeName(key)] = jobs
				r.refuse(path, queue.Policy{Allow: map[fleet.NodeName][]string{fleet.NodeName(key): jobs}})
			})},
		)
	}
}

// refuse reports what is wrong with a part of a policy.
func (r *reader) refuse(path string, p queue.Policy) {
	if err := p.Check(); err != nil {
		r.wrong(path, "%v", err)
	}
}

// keyed reads a mapping whose keys are names, not settings.
func (r *reader) keyed(each func(key string, n ast.Node, path string)) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		vs, _ := r.pairs(n, path)
		for _, v := range vs {
			key := v.Key.GetToken().Value
			sub := fmt.Sprintf("%s[%q]", path, key)
			r.note(v.Key, sub)
			each(key, v.Value, sub)
		}
	}
}

func (r *reader) float(to *float64) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		text, ok := r.scalar(n, path)
		if !ok {
			return
		}
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || x-x != 0 { // nor infinite, nor no number
			r.bad(where(n), path, "%q: expected a number", text)
			return
		}
		*to = x
	}
}

func (r *reader) duration(to *time.Duration) func(ast.Node, string) {
	return func(n ast.Node, path string) {
		text, ok := r.scalar(n, path)
		if !ok {
			return
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			r.bad(where(n), path, "%q: expected a time, such as 90s or 5m", text)
			return
		}
		*to = d
	}
}

func ofScheduling(p *queue.Policy) (t tree) {
	if p == nil {
		return nil
	}
	t.put("pack", p.Pack)
	if p.Long > 0 {
		t.put("long", p.Long.String())
	}
	var weights, limits, allow tree
	for _, w := range []struct {
		name string
		x    float64
	}{{"last", p.Weights.Last}, {"free", p.Weights.Free}, {"speed", p.Weights.Speed}, {"distance", p.Weights.Distance}, {"controller", p.Weights.Controller}} {
		if w.x != 0 {
			weights.put(w.name, strconv.FormatFloat(w.x, 'g', -1, 64))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Limits)) {
		limits = append(limits, entry{key, p.Limits[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(p.Allow)) {
		allow = append(allow, entry{string(key), ofStrings(p.Allow[key])})
	}
	t.put("weights", weights)
	t.put("limits", limits)
	t.put("allow", allow)
	return t
}
