package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/retain"
)

// field is one input of a form, with what stands in it and what is wrong with that.
type field struct {
	setting
	Name    string // of the input
	Value   string
	Problem string
}

// pairRow is a name and a value of a group of pairs.
type pairRow struct{ Name, Value string }

// pairsField is a group of pairs; its last rows are empty, to be filled.
type pairsField struct {
	Name, Label, Hint, Names string
	Rows                     []pairRow
	Problem                  string
}

// kindForm is a kind that can be chosen, with its settings.
type kindForm struct {
	kind
	Chosen   bool
	Fields   []field
	More     []field
	MoreOpen bool // something is set there, or wrong
	Pairs    *pairsField
}

// limitForm is a row of limits.
type limitForm struct {
	limitAbout
	Action, Low, High field // High is where a warning begins
}

// nodeForm is what the page of a node's form shows.
type nodeForm struct {
	New        bool
	From       fleet.NodeName // copied
	Node       fleet.NodeName // "" while New
	Owner      string         // the file that looks after the node; then nothing can be changed here
	Local      bool           // its launcher is the controller's own, and stays
	Was        string         // of the configuration that the form began with
	Problems   problems
	Fields     map[string]field
	Modes      []option
	Launchers  []kindForm
	Retentions []kindForm
	Limits     []limitForm
	Setup      []field
	Env, Tools pairsField
	Hold       bool
}

// SetupOpen reports whether the setup is unfolded: some of it is set, or wrong.
func (f nodeForm) SetupOpen() bool {
	return slices.ContainsFunc(f.Setup, func(x field) bool { return x.Value != "" || x.Problem != "" })
}

// Open reports whether the limits are unfolded: some are set, or wrong.
func (f nodeForm) Open() bool {
	for _, l := range f.Limits {
		for _, x := range []field{l.Action, l.Low, l.High} {
			if x.Value != "" || x.Problem != "" {
				return true
			}
		}
	}
	return false
}

// kindsForm is a choice of kinds.
type kindsForm struct {
	Group string
	Kinds []kindForm
}

func (f nodeForm) Ways() kindsForm  { return kindsForm{"launcher", f.Launchers} }
func (f nodeForm) Stays() kindsForm { return kindsForm{"retention", f.Retentions} }

// General are the inputs that every node has but for its name.
func (f nodeForm) General() (all []field) {
	for _, k := range []string{"description", "executors", "labels", "mode", "remoteRoot"} {
		all = append(all, f.Fields[k])
	}
	return all
}

// ID is where the summary of problems leads.
func (p problem) ID() string { return inputID(p.Field) }

func inputID(name string) string { return "f-" + strings.NewReplacer(".", "-").Replace(name) }

func (f field) ID() string { return inputID(f.Name) }

// Notes are the elements that describe the input.
func (f field) Notes() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.ID()+"-hint")
	}
	if f.Problem != "" {
		ids = append(ids, f.ID()+"-problem")
	}
	return strings.Join(ids, " ")
}

// form lays a node's values out.
func (s *site) form(v url.Values, ps problems) nodeForm {
	f := nodeForm{Problems: ps, Hold: v.Get("hold") != "", Was: v.Get("was"), Fields: map[string]field{}}
	make := func(name string, x setting) field {
		return field{setting: x, Name: name, Value: v.Get(name), Problem: ps.Of(name)}
	}
	for _, x := range []setting{
		{Key: "name", Label: "Name", Hint: "Also a label, and the host of ssh when no other is given."}, {Key: "description", Label: "Description", Wide: true},
		{Key: "executors", Label: "Executors", Type: "number", Hint: "How much runs at once; 0 takes no work."}, {Key: "labels", Label: "Labels", Hint: "With spaces between them.", Placeholder: "linux docker"},
		{Key: "mode", Label: "Mode", Type: "select", Options: []option{{"normal", "normal: any work"}, {"exclusive", "exclusive: only work that names its labels"}}},
		{Key: "remoteRoot", Label: "Remote root", Hint: "The folder there for workspaces.", Placeholder: "the agent's default"},
		{Key: "reason", Label: "Why"},
	} {
		f.Fields[x.Key] = make(x.Key, x)
	}
	f.Launchers = s.kinds(v, "launcher", s.offered(), make, ps)
	f.Retentions = s.kinds(v, "retention", retentionKinds(), make, ps)
	for _, m := range limitsAsked() {
		p := "monitor." + m.Name + "."
		f.Limits = append(f.Limits, limitForm{m, make(p+"action", setting{Label: m.Title + ": what follows", Options: limitActions}), make(p+"bad", setting{Label: "Bad when " + m.Bad}),
			make(p+"warn", setting{Label: "Warn when " + m.Bad})})
	}
	for _, x := range setupAsked() {
		f.Setup = append(f.Setup, make("setup."+x.Key, x))
	}
	f.Env = newPairs(v, ps, "env", "Environment", "Variables of every step on this node.", "PATH+TOOLS")
	f.Tools = newPairs(v, ps, "tool", "Tools", "Where tools are on this node, by their names.", "jdk21")
	return f
}

// offered are the launchers of this controller that people choose, those that the page knows more of first.
func (s *site) offered() (out []kind) {
	for _, k := range launcherKinds() {
		if slices.Contains(s.Launchers, k.Name) {
			out = append(out, k)
		}
	}
	for _, name := range s.Launchers {
		if _, known := kindOf(out, name); !known && name != ownLauncher {
			k, _ := kindOf(nil, name)
			out = append(out, k)
		}
	}
	return out
}

// ownLauncher is that of nodes that the controller makes at each start, as its configuration says.
const ownLauncher = "local"

func (s *site) kinds(v url.Values, group string, all []kind, make func(string, setting) field, ps problems) (out []kindForm) {
	for _, k := range all {
		kf := kindForm{kind: k, Chosen: v.Get(group) == k.Name}
		for _, x := range k.Settings {
			fd := make(group+"."+k.Name+"."+x.Key, x)
			if !x.More {
				kf.Fields = append(kf.Fields, fd)
				continue
			}
			kf.More = append(kf.More, fd)
			kf.MoreOpen = kf.MoreOpen || fd.Value != "" || fd.Problem != ""
		}
		if name := group + "." + k.Name; k.Further {
			p := newPairs(v, ps, name, "Further settings", "", "jump.1.user")
			kf.Pairs, kf.MoreOpen = &p, kf.MoreOpen || len(v[name+".name"]) > 0
		}
		out = append(out, kf)
	}
	return out
}

// spareRows are how many empty rows follow, for browsers without JavaScript.
const spareRows = 2

func newPairs(v url.Values, ps problems, name, label, hint, names string) pairsField {
	f := pairsField{Name: name, Label: label, Hint: hint, Names: names, Problem: ps.Of(name + ".name")}
	values := v[name+".value"]
	for i, n := range v[name+".name"] {
		r := pairRow{Name: n}
		if i < len(values) {
			r.Value = values[i]
		}
		if r != (pairRow{}) {
			f.Rows = append(f.Rows, r)
		}
	}
	f.Rows = append(f.Rows, slices.Repeat([]pairRow{{}}, spareRows)...)
	return f
}

// ID of a pairs' first input.
func (f pairsField) ID() string { return inputID(f.Name + ".name") }

// mark names a configuration, so that a form knows when another one was saved meanwhile.
func mark(n fleet.Node) string {
	sum := sha256.Sum256([]byte(nodeValues(n).Encode()))
	return hex.EncodeToString(sum[:8])
}

// check finds what is wrong with a node beyond what its form's inputs are, and puts it to the inputs.
func (s *site) check(n fleet.Node, ps problems) problems {
	if err := fleet.CheckName(n.Name); err != nil {
		ps.add("name", "Name", "%s", strings.TrimPrefix(err.Error(), "node "))
		n.Name = "node"
	}
	if ps.Of("executors") != "" {
		n.Executors = 1
	}
	if ps.Of("mode") != "" {
		n.Mode = fleet.Normal
	}
	if _, err := retain.New(n.Retention); err != nil {
		ps.retention(n.Retention.Kind, err)
		n.Retention = fleet.RetentionSpec{}
	}
	err := s.Fleet.Check(n)
	if err != nil && ps.monitors(err) {
		n.Monitors = nil
		err = s.Fleet.Check(n)
	}
	if err != nil && ps.setup(err) {
		n.Setup = nil
		err = s.Fleet.Check(n)
	}
	if err != nil {
		ps.launcher(n, err)
	}
	return ps
}

// retention puts "retention demand: idleDelay: what is wrong" to its input.
func (ps *problems) retention(name string, err error) {
	text := strings.TrimPrefix(err.Error(), "retention "+name+": ")
	key, rest, _ := strings.Cut(text, ": ")
	k, _ := kindOf(retentionKinds(), name)
	if x := k.setting(key); x != nil {
		ps.add("retention."+name+"."+x.Key, x.Label, "%s", rest)
		return
	}
	ps.add("retention", "Retention", "%s", text)
}

// monitors puts "node x: monitors.disk.warn: what is wrong" to its input, and reports whether the error is such.
func (ps *problems) monitors(err error) bool {
	_, text, ok := strings.Cut(err.Error(), "monitors.")
	if !ok {
		return false
	}
	where, text, _ := strings.Cut(text, ": ")
	name, key, _ := strings.Cut(where, ".")
	if key == "" {
		key = "bad"
	}
	for _, m := range limitsAsked() {
		if m.Name == name {
			ps.add("monitor."+name+"."+key, m.Title, "%s", text)
		}
	}
	return true
}

// setup puts "node x: setup.files: what is wrong" to its input, and reports whether the error is such.
func (ps *problems) setup(err error) bool {
	if _, text, ok := strings.Cut(err.Error(), "setup: "); ok {
		ps.add("setup.command", "Before its first use", "%s", text)
		return true
	}
	_, text, ok := strings.Cut(err.Error(), "setup.")
	if !ok {
		return false
	}
	key, text, _ := strings.Cut(text, ": ")
	for _, x := range setupAsked() {
		if x.Key == key {
			ps.add("setup."+key, x.Label, "%s", text)
			return true
		}
	}
	return false
}

// launcher puts what a launcher says of its settings to their inputs: "node x: launcher.config.key: …; launcher.config.port: …".
func (ps *problems) launcher(n fleet.Node, err error) {
	text := strings.TrimPrefix(err.Error(), "node "+string(n.Name)+": ")
	name := n.Launcher.Kind
	k, _ := kindOf(launcherKinds(), name)
	pieces := strings.Split(text, "launcher.config.")
	if len(pieces) == 1 {
		ps.add("launcher", "Launcher", "%s", text)
		return
	}
	for _, piece := range pieces[1:] {
		at := strings.IndexAny(piece, ": ")
		if at < 0 {
			at = len(piece)
		}
		key, what := piece[:at], strings.TrimSuffix(strings.TrimLeft(piece[at:], ": "), "; ")
		if x := k.setting(key); x != nil {
			ps.add("launcher."+name+"."+key, x.Label, "%s", what)
			continue
		}
		ps.join("launcher."+name+".name", "Further settings", key+": "+what)
	}
}

func (k kind) setting(key string) *setting {
	for i, x := range k.Settings {
		if x.Key == key || slices.Contains(x.Also, key) {
			return &k.Settings[i]
		}
	}
	return nil
}

// errChanged is a form that began with a configuration that is not the node's any more.
var errChanged = errors.New("somebody else has changed this node meanwhile: what you wrote is kept below; save again to put it in place of theirs")
