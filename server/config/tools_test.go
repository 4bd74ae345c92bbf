package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server/tools"
)

// What is mirrored comes from the file, is planned like the rest, and goes with an undo.
func TestToolsOfTheFile(t *testing.T) {
	m := newFarm(t, t.TempDir(), "")
	var now []tools.Entry
	m.cfg.Tools = func(es []tools.Entry) { now = es }
	m.again(t)
	const text = `version: 1
tools:
  - {name: site, from: /srv/tools, to: a/b, select: "linux && !small", native: "{os}-{arch}", exclude: [x, "y/*"], delete: false, required: true}
  - from: /srv/more
    native: {sun: solaris}
`
	p, err := m.Apply(t.Context(), api.ConfigText{Text: text}, "alice")
	if err != nil || len(p.Changes) != 1 || p.Changes[0].Kind != "tools" {
		t.Fatalf("%+v %v", p, err)
	}
	want := tools.Entry{Name: "site", From: "/srv/tools", To: "a/b", Select: "linux && !small", Native: tools.Native{Pattern: "{os}-{arch}"}, Exclude: []string{"x", "y/*"}, Keep: true, Required: true}
	if len(now) != 2 || now[0].Title() != "site" || now[0].To != want.To || !now[0].Keep || !now[0].Required || !slices.Equal(now[0].Exclude, want.Exclude) || now[0].Native.Pattern != want.Native.Pattern ||
		now[1].Keep || now[1].Required || now[1].Native.Folders["sun"] != "solaris" {
		t.Errorf("%+v", now)
	}
	exported, err := m.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.Plan(t.Context(), api.ConfigText{Text: exported}); err != nil || len(again.Changes) != 0 {
		t.Errorf("what was exported is a change: %+v %v\n%s", again, err, exported)
	}
	if _, err := m.Undo(t.Context()); err != nil || len(now) != 0 {
		t.Errorf("undone: %+v %v", now, err)
	}
	_, err = m.Plan(t.Context(), api.ConfigText{File: "farm.yaml", Text: "version: 1\ntools:\n  - from: tools\n    select: 'a &&'\n    wanted: true\n"})
	for _, says := range []string{"tools[0].from", "tools[0].select", "wanted", "farm.yaml:3"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s in it", err, says)
		}
	}
}
