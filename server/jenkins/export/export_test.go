package export_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/need"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// farm is a small graph with a cycle, a long list, and a property that must not be computed.
func farm(t *testing.T) *export.Bean {
	var job func(name, color string) *export.Bean
	run := func(n int, of *export.Bean) *export.Bean {
		return (&export.Bean{Class: "x.Run"}).Show(2, "number", n).Add("result", nil).
			Lazy(1, "job", func() (any, error) { return of, nil })
	}
	job = func(name, color string) *export.Bean {
		j := &export.Bean{Class: "x.Job"}
		return j.Show(3, "name", name).Show(2, "color", color).Add("buildable", true).
			Lazy(1, "builds", func() (any, error) {
				return export.List(func(from, to int) ([]*export.Bean, error) {
					if to < 0 || to > 5 {
						to = 5
					}
					var out []*export.Bean
					for n := from; n < to; n++ {
						out = append(out, run(5-n, j))
					}
					return out, nil
				}), nil
			}).
			Lazy(-2, "allBuilds", func() (any, error) { return nil, errors.New("computed without being asked for") })
	}
	return (&export.Bean{Class: "hudson.model.Hudson"}).Add("mode", "NORMAL").Add("url", nil).
		Add("jobs", []*export.Bean{job("a", "red"), job("ü\"\\\n", "blue")}).
		InLine("items", func() (any, error) { return []*export.Bean{(&export.Bean{}).Add("why", "‘a’ & <b>")}, nil }).
		Add("labels", []string{"x", "y"}).Show(2, "load", 1.5)
}

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name string
		o    export.Options
		want string
	}{
		{"depth 0", export.Options{}, `{"_class":"hudson.model.Hudson","mode":"NORMAL","url":null,"jobs":[{"_class":"x.Job","name":"a","color":"red"},` +
			`{"_class":"x.Job","name":"ü\"\\\n","color":"blue"}],"items":[{"why":"‘a’ & <b>"}],"labels":["x","y"],"load":1.5}`},
		{"names", export.Options{Tree: "jobs[name,builds[number]],mode"}, `{"_class":"hudson.model.Hudson","mode":"NORMAL","jobs":[` +
			`{"_class":"x.Job","name":"a","builds":[{"_class":"x.Run","number":5},{"_class":"x.Run","number":4},{"_class":"x.Run","number":3},{"_class":"x.Run","number":2},{"_class":"x.Run","number":1}]},` +
			`{"_class":"x.Job","name":"ü\"\\\n","builds":[{"_class":"x.Run","number":5},{"_class":"x.Run","number":4},{"_class":"x.Run","number":3},{"_class":"x.Run","number":2},{"_class":"x.Run","number":1}]}]}`},
		{"ranges", export.Options{Tree: "jobs[builds[number]{1,3}]{0},labels{1,}"}, `{"_class":"hudson.model.Hudson","jobs":[{"_class":"x.Job","builds":[{"_class":"x.Run","number":4},{"_class":"x.Run","number":3}]}],"labels":["y"]}`},
		{"range first", export.Options{Tree: "jobs{,1}[name]"}, `{"_class":"hudson.model.Hudson","jobs":[{"_class":"x.Job","name":"a"}]}`},
		{"leaf", export.Options{Tree: "jobs"}, `{"_class":"hudson.model.Hudson","jobs":[{"_class":"x.Job"},{"_class":"x.Job"}]}`},
		{"star", export.Options{Tree: "jobs[*]{0}"}, `{"_class":"hudson.model.Hudson","jobs":[{"_class":"x.Job","name":"a","color":"red","buildable":true,"builds":[{"_class":"x.Run"},{"_class":"x.Run"},{"_class":"x.Run"},{"_class":"x.Run"},{"_class":"x.Run"}]}]}`},
		{"twice", export.Options{Tree: "jobs[name]{0},jobs[color]{0}"}, `{"_class":"hudson.model.Hudson","jobs":[{"_class":"x.Job","name":"a","color":"red"}]}`},
		{"unknown", export.Options{Tree: "nope[x]"}, `{"_class":"hudson.model.Hudson"}`},
		{"past the end", export.Options{Tree: "labels{7,9}"}, `{"_class":"hudson.model.Hudson","labels":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := export.Render(farm(t), c.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(export.JSON(o, false)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDepthShowsMore(t *testing.T) {
	o, err := export.Render(farm(t), export.Options{Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := string(export.JSON(o, false))
	if !strings.Contains(got, `"buildable":true,"builds":[{"_class":"x.Run","number":5}`) {
		t.Errorf("depth 1: %s", got)
	}
}

// A graph with cycles is endless at depth.
func TestAnswersAreBounded(t *testing.T) {
	var b *export.Bean
	b = (&export.Bean{}).Lazy(1, "next", func() (any, error) { return []*export.Bean{b, b}, nil })
	if _, err := export.Render(b, export.Options{Depth: 60}); !fault.Is(err, fault.Exhausted) {
		t.Errorf("got %v", err)
	}
	if _, err := export.Render(farm(t), export.Options{Max: 3}); !fault.Is(err, fault.Exhausted) {
		t.Errorf("got %v", err)
	}
}

func TestWrongTrees(t *testing.T) {
	for _, tree := range []string{"[", "a[", "a[b", "a]", "a{", "a{}", "a{x}", "a{-1}", "a,,b", "a[]", ",", strings.Repeat("a[", 80)} {
		if _, err := export.Render(farm(t), export.Options{Tree: tree}); !fault.Is(err, fault.Invalid) {
			t.Errorf("tree=%s: got %v", tree, err)
		}
	}
}

// Python itself reads what is written for it.
func TestPythonReadsIt(t *testing.T) {
	python := need.Program(t, "python3", "python3")
	o, err := export.Render((&export.Bean{Class: "c"}).Add("text", "‘a’ \"\\\n\r\t\x01 𝄞").Add("none", nil).Add("yes", true).Add("no", false).Add("n", int64(-5)).Add("l", []string{"x"}), export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", `import ast,sys
v = ast.literal_eval(sys.stdin.read())
assert v == {"_class": "c", "text": "\u2018a\u2019 \"\\\n\r\t\x01 \U0001d11e", "none": None, "yes": True, "no": False, "n": -5, "l": ["x"]}, v`)
	cmd.Stdin = strings.NewReader(string(export.Python(o)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, export.Python(o))
	}
}

func document(t testing.TB) *export.Element {
	o, err := export.Render((&export.Bean{Class: "hudson.model.Hudson"}).Add("mode", "A&B").Add("jobs", []*export.Bean{
		(&export.Bean{Class: "x.Job"}).Show(3, "name", "a").Show(3, "color", "red").Show(3, "lastBuild", (&export.Bean{Class: "x.Run"}).Show(3, "number", 7)),
		(&export.Bean{Class: "x.Job"}).Show(3, "name", "ab").Show(3, "color", "blue").Show(3, "gone", nil),
	}), export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return export.ToXML(o)
}

func TestXML(t *testing.T) {
	const want = `<hudson _class="hudson.model.Hudson"><mode>A&amp;B</mode><job _class="x.Job"><name>a</name><color>red</color><lastBuild _class="x.Run"><number>7</number></lastBuild></job>` +
		`<job _class="x.Job"><name>ab</name><color>blue</color></job></hudson>`
	if got := string(document(t).Bytes(false)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(document(t).Bytes(true)); !strings.Contains(got, "\n  <job _class=\"x.Job\">\n    <name>a</name>") {
		t.Errorf("indented: %s", got)
	}
}

func TestXPath(t *testing.T) {
	for expr, want := range map[string]string{
		"/hudson/job/name":                         "a|ab",
		"//job[color='red']/name":                  "a",
		"//job[color!='red']/name":                 "ab",
		"//job[name/text()='ab']/color/text()":     "=blue",
		"/*/job[2]/name":                           "ab",
		"//job[last()]/name/text()":                "=ab",
		"//job[starts-with(name,'a')]/name":        "a|ab",
		"//job[contains(name,'b')]/name":           "ab",
		"//job[lastBuild]/name":                    "a",
		"//lastBuild/number/text()":                "=7",
		"//job[lastBuild/number='7'][1]/color":     "red",
		"//job[@_class='x.Job']/name":              "a|ab",
		"//lastBuild/@_class":                      "=x.Run",
		"count(//job)":                             "=2",
		`concat(//job[1]/name,":",//job[2]/color)`: "=a:blue",
		"//nothing":                                "",
		"//job/*":                                  "a|red|7|ab|blue",
	} {
		r, err := export.Find(document(t), expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		var got []string
		for _, e := range r.Elements {
			text := string(e.Bytes(false))
			for strings.Contains(text, "<") {
				text = text[:strings.Index(text, "<")] + text[strings.Index(text, ">")+1:]
			}
			got = append(got, text)
		}
		s := strings.Join(got, "|")
		if r.IsText {
			s = "=" + r.Text
		}
		if s != want {
			t.Errorf("%s: got %q, want %q", expr, s, want)
		}
	}
	for _, expr := range []string{"", "//", "/hudson[", "//job[name=red]", "string(//job)", "//job[/x]", "//job[position()<2]", "concat(", "'a", "//job]", "//job/@id", "a b"} {
		if _, err := export.Find(document(t), expr); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", expr, err)
		}
	}
}

func TestExclude(t *testing.T) {
	doc, err := export.Exclude(document(t), []string{"//lastBuild", "//job[name='ab']"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `<hudson _class="hudson.model.Hudson"><mode>A&amp;B</mode><job _class="x.Job"><name>a</name><color>red</color></job></hudson>`
	if got := string(doc.Bytes(false)); got != want {
		t.Errorf("got %s", got)
	}
}

func FuzzTree(f *testing.F) {
	for _, s := range []string{"jobs[name,builds[number]{0,2}],mode", "a{,3}[*]", "a[b[c]]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := export.Render((&export.Bean{}).Add("a", []*export.Bean{(&export.Bean{}).Add("b", 1)}), export.Options{Tree: s})
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func FuzzXPath(f *testing.F) {
	for _, s := range []string{"//job[color='red']/name", "concat(//a,':',count(//b))", "/*/job[last()]/text()", "//job[starts-with(name,'a')]/@_class"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc := document(t)
		before := string(doc.Bytes(false))
		r, err := export.Find(doc, s)
		if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Exhausted) {
			t.Errorf("%q: %v", s, err)
		}
		if string(doc.Bytes(false)) != before {
			t.Errorf("%q changed the document", s)
		}
		if slices.Contains(r.Elements, nil) {
			t.Errorf("%q found nothing as something", s)
		}
	})
}
