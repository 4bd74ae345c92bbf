package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/monitor"
	"github.com/outwork-build/outwork/server/notify"
)

// tree is a mapping in order: what is written as YAML, and what is compared. Values are string, int, bool, []any, tree.
type tree []entry

type entry struct {
	key   string
	value any
}

// put adds what is not empty.
func (t *tree) put(key string, v any) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return
		}
	case int:
		if x == 0 {
			return
		}
	case bool:
		if !x {
			return
		}
	case []any:
		if len(x) == 0 {
			return
		}
	case tree:
		if len(x) == 0 {
			return
		}
	}
	*t = append(*t, entry{key, v})
}

func ofStrings[S ~string](list []S) (out []any) {
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

func ofMap(m map[string]string) (t tree) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		t = append(t, entry{k, m[k]})
	}
	return t
}

func ofLimits(m map[string]fleet.Limit) (t tree) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		l := tree{}
		l.put("action", string(m[k].Action))
		l.put("bad", amount(k, m[k].Bad))
		l.put("warn", amount(k, m[k].Warn))
		t = append(t, entry{k, l})
	}
	return t
}

// amount writes a limit in the largest unit that leaves it whole.
func amount(name string, n int64) string {
	if n == 0 {
		return ""
	}
	if name == monitor.Clock || name == monitor.Response {
		return fmt.Sprintf("%dms", n)
	}
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%u.size == 0 && n/u.size < 1<<20 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

func variant(kind string, config map[string]string) any {
	if len(config) == 0 {
		return kind
	}
	return tree{{kind, ofMap(config)}}
}

func ofNode(n fleet.Node) (t tree) {
	t.put("name", string(n.Name))
	t.put("description", n.Description)
	t = append(t, entry{"executors", n.Executors})
	t.put("labels", ofStrings(n.Labels))
	if n.Mode == fleet.Exclusive {
		t.put("mode", string(n.Mode))
	}
	t.put("remoteRoot", n.RemoteRoot)
	t.put("env", ofMap(n.Env))
	t.put("tools", ofMap(n.Tools))
	t.put("launcher", variant(n.Launcher.Kind, n.Launcher.Config))
	t.put("retention", variant(n.Retention.Kind, n.Retention.Config))
	t.put("monitors", ofMonitors(n))
	t.put("setup", ofSetup(n.Setup))
	return t
}

func ofJob(j Job) (t tree) {
	t.put("name", string(j.Name))
	t.put("description", j.Description)
	t.put("priority", j.Priority)
	t.put("disabled", j.Disabled)
	t.put("script", j.Source.Script)
	if g := j.Source.Git; g != nil {
		var git tree
		git.put("url", g.URL)
		git.put("ref", g.Ref)
		git.put("path", g.Path)
		t.put("git", git)
	}
	return t
}

func ofUser(u User) (t tree) {
	t.put("name", u.Name)
	t.put("role", u.Role)
	t.put("disabled", u.Disabled)
	return t
}

func ofFarm(f Farm) (t tree) {
	t.put("monitors", ofLimits(f.Monitors))
	return t
}

func ofInterest(t *tree, in notify.Interest, usual []string) {
	if !slices.Equal(in.Nodes, usual) {
		*t = append(*t, entry{"nodes", ofStrings(in.Nodes)})
	}
	if f := in.Builds; f != nil {
		var b tree
		b.put("jobs", ofStrings(f.Jobs))
		b.put("results", ofStrings(f.Results))
		b.put("onChange", f.OnChange)
		*t = append(*t, entry{"builds", b})
	}
}

func ofNotify(s notify.Settings) (t tree) {
	if m := s.SMTP; m != nil {
		var x tree
		x.put("host", m.Host)
		x.put("port", m.Port)
		x.put("from", m.From)
		x.put("to", ofStrings(m.To))
		x.put("tls", m.TLS)
		x.put("username", m.Username)
		x.put("password", string(m.Password))
		ofInterest(&x, m.Interest, []string{notify.WentOffline})
		t.put("smtp", x)
	}
	var hooks []any
	for _, w := range s.Webhooks {
		var x tree
		x.put("name", w.Name)
		x.put("url", w.URL)
		x.put("secret", string(w.Secret))
		x.put("allowPrivate", ofStrings(w.AllowPrivate))
		ofInterest(&x, w.Interest, []string{notify.WentOffline, notify.CameOnline})
		hooks = append(hooks, x)
	}
	t.put("webhooks", hooks)
	return t
}

func each[T any](list []T, of func(T) tree) (out []any) {
	for _, v := range list {
		out = append(out, of(v))
	}
	return out
}

// Write writes a document as YAML. Parse reads it back as it was, but for passwords of users, which it leaves out.
func (d Document) Write() string {
	t := tree{{"version", Version}}
	t.put("farm", ofFarm(d.Farm))
	t.put("scheduling", ofScheduling(d.Farm.Scheduling))
	t.put("notify", ofNotify(d.Notify))
	t.put("tools", each(d.Tools, ofTools))
	t.put("nodes", each(d.Nodes, ofNode))
	t.put("jobs", each(d.Jobs, ofJob))
	t.put("users", each(d.Users, ofUser))
	var b strings.Builder
	t.write(&b, 0, false)
	return b.String()
}

// write writes the entries, each on a line of its own. The first stands where b ends when inline: behind a list's dash.
func (t tree) write(b *strings.Builder, indent int, inline bool) {
	for i, e := range t {
		if i > 0 || !inline {
			b.WriteString(strings.Repeat("  ", indent))
		}
		b.WriteString(scalar(e.key))
		b.WriteByte(':')
		writeValue(b, e.value, indent)
	}
}

func writeValue(b *strings.Builder, v any, indent int) {
	switch x := v.(type) {
	case tree:
		if len(x) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteByte('\n')
		x.write(b, indent+1, false)
	case []any:
		writeList(b, x, indent)
	case string:
		if block(x) {
			pad := strings.Repeat("  ", indent+1)
			b.WriteString(" |\n" + pad + strings.ReplaceAll(strings.TrimSuffix(x, "\n"), "\n", "\n"+pad) + "\n")
			return
		}
		b.WriteString(" " + scalar(x) + "\n")
	default:
		fmt.Fprintf(b, " %v\n", x)
	}
}

func writeList(b *strings.Builder, list []any, indent int) {
	if len(list) == 0 || plainList(list) {
		parts := []string{}
		for _, v := range list {
			parts = append(parts, scalar(v.(string)))
		}
		b.WriteString(" [" + strings.Join(parts, ", ") + "]\n")
		return
	}
	b.WriteByte('\n')
	for _, v := range list {
		b.WriteString(strings.Repeat("  ", indent+1) + "- ")
		v.(tree).write(b, indent+2, true)
	}
}

func plainList(list []any) bool {
	_, ok := list[0].(string)
	return ok
}

// bare reports whether a text means itself in YAML wherever it stands.
func bare(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '/'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || strings.IndexByte(".@+=-", c) >= 0)) {
			return false
		}
	}
	// Words that YAML of some version reads as something else.
	return s != "" && !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"}, strings.ToLower(s))
}

// scalar writes a text so that it is read as the same text.
func scalar(s string) string {
	if bare(s) {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b) // a JSON string is a YAML string
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// block reports whether a text can stand as a literal block, and is better read so.
func block(s string) bool {
	if !strings.HasSuffix(s, "\n") || strings.HasSuffix(s, "\n\n") || strings.Count(s, "\n") < 2 || !utf8.ValidString(s) {
		return false
	}
	if c := s[0]; c == ' ' || c == '\n' || c == '\t' {
		return false
	}
	for _, line := range strings.Split(s, "\n") {
		if line != strings.TrimRight(line, " \t") {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && (!unicode.IsPrint(r) || r == utf8.RuneError || r == '\uFEFF' || r == '\u0085' || r == '\u2028' || r == '\u2029')
	})
}
