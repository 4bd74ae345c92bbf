package recipe

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/outwork-build/outwork/internal/fault"
)

func (in *instance) requires(v starlark.Value) error {
	list, err := in.strings(v, true)
	if err != nil {
		return err
	}
	taken := map[string]string{}
	for _, s := range list {
		r, err := parseRequire(s)
		if err != nil {
			return err
		}
		if other, ok := taken[r.As]; ok && !in.alias {
			return fault.New(fault.Invalid, "%q and %q would both stand at deps/%s; give one another name: \"NAME=%s\"", other, s, r.As, s)
		}
		taken[r.As] = s
		r.Pos = in.place("requires")
		in.task.Requires = append(in.task.Requires, r)
	}
	return nil
}

func (in *instance) sources(v starlark.Value) error {
	var plain []string
	add := func(g Glob) error {
		for _, list := range []*[]string{&g.Include, &g.Exclude} {
			*list = slices.Clone(*list)
			for i, p := range *list {
				p, err := in.expand(p, true)
				if err == nil {
					err = checkPattern(p)
				}
				if err != nil {
					return err
				}
				(*list)[i] = p
			}
		}
		in.task.Sources = append(in.task.Sources, g)
		return nil
	}
	var walk func(v starlark.Value) error
	walk = func(v starlark.Value) error {
		switch v := v.(type) {
		case *globValue:
			return add(v.Glob)
		case starlark.String:
			plain = append(plain, string(v))
			return nil
		case starlark.Indexable:
			for i := range v.Len() {
				if err := walk(v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
		return fault.New(fault.Invalid, "expected glob(…), patterns or a list of them, found a %s", v.Type())
	}
	if err := walk(v); err != nil || len(plain) == 0 {
		return err
	}
	return add(Glob{Include: plain, Pos: in.place("sources")})
}

func (in *instance) env(v starlark.Value) (err error) {
	in.task.Env, err = in.environment(v)
	return err
}

func (in *instance) environment(v starlark.Value) (map[string]string, error) {
	env := map[string]string{}
	return env, in.dict(v, func(k string, v starlark.Value) error {
		if !validParam(k) {
			return fault.New(fault.Invalid, "expected the name of a variable: letters, digits and _")
		}
		s, err := word(v)
		if err == nil {
			env[k], err = in.expand(s, true)
		}
		return err
	})
}

func (in *instance) labels(v starlark.Value) (err error) {
	in.task.Labels, err = in.strings(v, true)
	slices.Sort(in.task.Labels)
	in.task.Labels = slices.Compact(in.task.Labels)
	return err
}

func (in *instance) resources(v starlark.Value) error {
	r := &in.task.Resources
	return in.dict(v, func(k string, v starlark.Value) error {
		if k == "memory" {
			s, err := word(v)
			if err == nil {
				r.Memory, err = ParseBytes(s)
			}
			return err
		}
		n, err := starlark.AsInt32(v)
		if err != nil || n < 0 || n > 1_000_000 {
			return fault.New(fault.Invalid, "expected a whole number, found %s", v)
		}
		if k == "cpu" {
			r.CPU = n
			return nil
		}
		if r.Named == nil {
			r.Named = map[string]int{}
		}
		r.Named[k] = n
		return nil
	})
}

// ParseBytes reads a number of bytes with K, M, G or T after it, which are powers of 1024.
func ParseBytes(s string) (int64, error) {
	num, unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s), "B"), "i"), int64(1)
	if num != "" {
		if i := strings.IndexByte("KMGT", num[len(num)-1]&^0x20); i >= 0 {
			num, unit = num[:len(num)-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fault.New(fault.Invalid, "%q: expected a number of bytes such as 512M or 2G", s)
	}
	return n * unit, nil
}

func (in *instance) timeout(v starlark.Value) error {
	s, err := word(v)
	if err != nil {
		return err
	}
	if in.task.Timeout, err = time.ParseDuration(s); err != nil || in.task.Timeout <= 0 {
		return fault.New(fault.Invalid, "%q: expected a time such as 90s, 10m or 2h", s)
	}
	return nil
}

func (in *instance) run(v starlark.Value) (err error) {
	in.task.Run, err = in.strings(v, false)
	return err
}

func (in *instance) publish(v starlark.Value) error {
	rule := func(to string, v starlark.Value) error {
		from, err := in.strings(v, true)
		if err != nil {
			return err
		}
		for _, p := range from {
			if err := checkPattern(p); err != nil {
				return err
			}
		}
		if clean := strings.TrimSuffix(to, "/"); to != "" && !validPlace(clean) {
			return fault.New(fault.Invalid, "expected a path in the artifact")
		}
		in.task.Publish = append(in.task.Publish, Rule{To: to, From: from, Pos: in.place("publish")})
		return nil
	}
	if _, ok := v.(*starlark.Dict); ok {
		return in.dict(v, rule)
	}
	return rule("", v)
}

// validPlace reports whether s is a clean relative path.
func validPlace(s string) bool {
	for seg := range strings.SplitSeq(s, "/") {
		if seg == "" || seg == "." || seg == ".." || strings.ContainsAny(seg, "\x00\\") {
			return false
		}
	}
	return true
}

func (in *instance) exports(v starlark.Value) error {
	e := &in.task.Exports
	lists := map[string]*[]string{"path": &e.Path, "include": &e.Include, "lib": &e.Lib}
	return in.dict(v, func(k string, v starlark.Value) (err error) {
		if k == "env" {
			e.Env, err = in.environment(v)
			return err
		}
		list := lists[k]
		if list == nil {
			return fault.New(fault.Invalid, "expected one of env, path, include, lib")
		}
		if *list, err = in.strings(v, true); err != nil {
			return err
		}
		for i, dir := range *list {
			(*list)[i] = strings.TrimSuffix(dir, "/")
			if dir != "." && !validPlace((*list)[i]) {
				return fault.New(fault.Invalid, "%q: expected a folder of the artifact", dir)
			}
		}
		return nil
	})
}

func (in *instance) tests(v starlark.Value) (err error) {
	if in.task.Tests, err = in.strings(v, true); err != nil {
		return err
	}
	for _, p := range in.task.Tests {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	return nil
}

func (in *instance) cacheable(v starlark.Value) error {
	b, ok := v.(starlark.Bool)
	if !ok {
		return fault.New(fault.Invalid, "expected True or False, found a %s", v.Type())
	}
	in.task.Cacheable = bool(b)
	return nil
}
