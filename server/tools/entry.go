package tools

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/agent/ant"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
)

// Entry says which folder of the controller goes to which nodes. Only From must be set.
type Entry struct {
	Name     string   `json:"name,omitempty"`     // for people; "" is the last part of From
	From     string   `json:"from"`               // folder of the controller, absolute
	To       string   `json:"to,omitempty"`       // folder below the tools of a node, with slashes; "" is the tools themselves
	Select   string   `json:"select,omitempty"`   // label expression of the nodes that get it; "" is all
	Native   Native   `json:"native,omitzero"`    // folders of From of which each node gets its own
	Exclude  []string `json:"exclude,omitempty"`  // Ant patterns of what is left out; one without a slash fits a name at any depth
	Keep     bool     `json:"keep,omitempty"`     // what is on a node and not in From stays
	Required bool     `json:"required,omitempty"` // a node without it takes no work
}

// Native says which folders at the top of an entry are for which machines. Of them a node gets its own only, and the link `native`
// leads to it. The zero value knows none.
type Native struct {
	Pattern string            `json:"pattern,omitempty"` // of their names: {os}-{arch}
	Folders map[string]string `json:"folders,omitempty"` // their names, and the label expression of the nodes that each is for
}

// nativeLink is the name of the link to a machine's own folder.
const nativeLink = "native"

// Systems and processors that a Pattern knows, as Go calls them.
const (
	systems    = "aix|android|darwin|dragonfly|freebsd|illumos|ios|linux|netbsd|openbsd|plan9|solaris|windows"
	processors = "386|amd64|arm|arm64|loong64|mips|mips64|mips64le|mipsle|ppc64|ppc64le|riscv64|s390x|sparc64"
)

// Problem is something that is wrong with entries.
type Problem struct {
	Path    string // [2].select
	Message string
}

// Title is what people call the entry.
func (e Entry) Title() string {
	if e.Name != "" {
		return e.Name
	}
	return filepath.Base(e.From)
}

// Check lists what is wrong with entries.
func Check(entries []Entry) (ps []Problem) {
	names := map[string]int{}
	for i, e := range entries {
		bad := func(field, format string, args ...any) {
			ps = append(ps, Problem{fmt.Sprintf("[%d].%s", i, field), fmt.Sprintf(format, args...)})
		}
		if first, twice := names[e.Title()]; twice {
			bad("name", "%q stands at [%d] already: give one of them another name", e.Title(), first)
		} else {
			names[e.Title()] = i
		}
		if !filepath.IsAbs(e.From) {
			bad("from", "%q: expected the absolute path of a folder of the controller", e.From)
		}
		if e.To != "" && (!fs.ValidPath(e.To) || e.To == "." || strings.ContainsAny(e.To, `\:`)) {
			bad("to", "%q: expected a path relative to the tools of a node, with slashes and without dots", e.To)
		}
		if _, err := label.Parse(e.Select); err != nil {
			bad("select", "%v", err)
		}
		if _, err := excludes(e.Exclude); err != nil {
			bad("exclude", "%v", err)
		}
		checkNative(e.Native, bad)
	}
	return ps
}

func checkNative(n Native, bad func(field, format string, args ...any)) {
	if p := n.Pattern; p != "" && (!strings.Contains(p, "{os}") && !strings.Contains(p, "{arch}") || strings.ContainsAny(p, `/\`)) {
		bad("native", "%q: expected the name of a folder with {os} and {arch} in it", p)
	}
	for _, folder := range slices.Sorted(maps.Keys(n.Folders)) {
		if !fs.ValidPath(folder) || strings.Contains(folder, "/") || folder == "." || folder == nativeLink {
			bad("native", "%q: expected the name of a folder that stands at the top", folder)
		}
		if _, err := label.Parse(n.Folders[folder]); err != nil {
			bad("native", "%s: %v", folder, err)
		} else if strings.TrimSpace(n.Folders[folder]) == "" {
			bad("native", "%s: expected the label expression of the nodes that it is for", folder)
		}
	}
}

// excludes compiles patterns. One without a slash fits at any depth.
func excludes(patterns []string) (*ant.Set, error) {
	var all []string
	for _, p := range patterns {
		p = strings.TrimSpace(p)
		if p == "" || strings.Contains(p, ",") {
			return nil, fmt.Errorf("%q: expected one pattern", p)
		}
		if !strings.Contains(strings.TrimRight(p, `/\`), "/") && !strings.Contains(p, `\`) {
			p = "**/" + p
		}
		all = append(all, strings.TrimPrefix(p, "/"))
	}
	return ant.Compile(strings.Join(all, ","), false)
}

// wants reports whether a node gets the entry. The entry was checked.
func (e Entry) wants(st fleet.Status) bool { return matches(e.Select, st) }

func matches(expression string, st fleet.Status) bool {
	x, err := label.Parse(expression)
	if err != nil || x == nil {
		return err == nil
	}
	return x.Matches(label.In(st.Assigned))
}

// isNative returns what tells the folders of Native from others.
func (n Native) isNative() func(folder string) bool {
	if n.Pattern == "" {
		return func(folder string) bool { _, ok := n.Folders[folder]; return ok }
	}
	text := regexp.QuoteMeta(n.Pattern)
	text = strings.ReplaceAll(text, regexp.QuoteMeta("{os}"), "(?:"+systems+")")
	text = strings.ReplaceAll(text, regexp.QuoteMeta("{arch}"), "(?:"+processors+")")
	return regexp.MustCompile("^(?:" + text + ")$").MatchString
}

// of returns the folders that are for a node.
func (n Native) of(st fleet.Status) (folders []string) {
	if n.Pattern != "" {
		return []string{strings.NewReplacer("{os}", st.Machine.OS, "{arch}", st.Machine.Arch).Replace(n.Pattern)}
	}
	for _, folder := range slices.Sorted(maps.Keys(n.Folders)) {
		if matches(n.Folders[folder], st) {
			folders = append(folders, folder)
		}
	}
	return folders
}

func (n Native) any() bool { return n.Pattern != "" || len(n.Folders) > 0 }
