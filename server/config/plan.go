package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/outwork-build/outwork/api"
)

// Actions of a change.
const (
	create  = "create"
	change  = "change"
	remove  = "delete"
	disable = "disable"
)

// items are a document's things by kind and name, as trees. The order of the keys is the order of the file.
func (d Document) items() (keys []key, all map[key]tree) {
	all = map[key]tree{}
	add := func(k key, t tree) {
		keys = append(keys, k)
		all[k] = t
	}
	add(key{"farm", ""}, ofFarm(d.Farm))
	add(key{"scheduling", ""}, ofScheduling(d.Farm.Scheduling))
	add(key{"notify", ""}, ofNotify(d.Notify))
	add(key{"tools", ""}, tree{{"tools", each(d.Tools, ofTools)}})
	for _, n := range d.Nodes {
		add(key{kindNode, string(n.Name)}, ofNode(n))
	}
	for _, j := range d.Jobs {
		add(key{kindJob, string(j.Name)}, ofJob(j))
	}
	for _, u := range d.Users {
		add(key{kindUser, u.Name}, ofUser(u))
	}
	return keys, all
}

type key struct{ kind, name string }

// compare says what makes b of a: what both have and is different, and what only one has.
func compare(a, b Document) (cs []api.ConfigChange) {
	oldKeys, old := a.items()
	newKeys, next := b.items()
	for _, k := range newKeys {
		before, exists := old[k]
		fields := differences(before, next[k])
		switch {
		case !exists:
			cs = append(cs, api.ConfigChange{Kind: k.kind, Name: k.name, Action: create, Fields: fields})
		case len(fields) > 0:
			cs = append(cs, api.ConfigChange{Kind: k.kind, Name: k.name, Action: change, Fields: fields})
		}
	}
	for _, k := range oldKeys {
		if _, stays := next[k]; !stays {
			cs = append(cs, api.ConfigChange{Kind: k.kind, Name: k.name, Action: remove, Fields: differences(old[k], nil)})
		}
	}
	return cs
}

// differences lists the values that differ, by path.
func differences(a, b tree) (fs []api.ConfigField) {
	x, y := map[string]string{}, map[string]string{}
	flatten(a, "", x)
	flatten(b, "", y)
	paths := map[string]bool{}
	for p := range x {
		paths[p] = true
	}
	for p := range y {
		paths[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		before, was := x[p]
		after, is := y[p]
		if before != after || was != is {
			fs = append(fs, api.ConfigField{Path: p, Before: before, After: after})
		}
	}
	return fs
}

func flatten(v any, path string, out map[string]string) {
	switch x := v.(type) {
	case tree:
		for _, e := range x {
			flatten(e.value, join(path, e.key), out)
		}
		if len(x) == 0 && path != "" {
			out[path] = "{}"
		}
	case []any:
		if len(x) == 0 || plainList(x) {
			out[path] = fmt.Sprintf("%q", x)
			return
		}
		for i, e := range x {
			flatten(e, fmt.Sprintf("%s[%d]", path, i), out)
		}
	default:
		out[path] = fmt.Sprint(x)
	}
}
