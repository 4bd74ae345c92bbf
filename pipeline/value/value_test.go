package value

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDecimal(t *testing.T) {
	d := func(s string) *Decimal {
		x, err := ParseDecimal(s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct{ got, want string }{
		{d("5").Div(d("2")).String(), "2.5"},
		{d("10").Div(d("3")).String(), "3.3333333333"},
		{d("1").Div(d("8")).String(), "0.125"},
		{d("100.0").Div(d("3")).String(), "33.3333333333"},
		{d("1.10").Mul(d("2")).String(), "2.20"},
		{d("0.1").Add(d("0.2")).String(), "0.3"},
		{d("1e3").String(), "1E+3"},
		{d("1e-10").String(), "1E-10"},
		{d("1e3").Plain(), "1000"},
		{d("2.345").Round(2).String(), "2.35"},
		{d("-2.345").Round(2).String(), "-2.35"},
		{d("-0.5").Int().String(), "0"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	for _, bad := range []string{"", ".", "x", "1e", "--1", "1_0", "1e999999999", strings.Repeat("9", 20_000)} {
		if _, err := ParseDecimal(bad); err == nil {
			t.Errorf("%.20q was accepted", bad)
		}
	}
}

// TestMapModel compares Map with a slice that is searched.
func TestMapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type pair struct{ k, v Value }
		var model []pair
		m := NewMap()
		keys := rapid.SampledFrom([]Value{int64(1), Long(1), "1", &GString{Strings: []string{"1"}}, nil, true, NewList(int64(1)), Pairs("a", int64(1)), 1.5})
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			k := keys.Draw(t, "key")
			at := -1
			for i, p := range model {
				if Key(p.k) == Key(k) {
					at = i
				}
			}
			if rapid.Bool().Draw(t, "put") {
				v := rapid.Int64().Draw(t, "value")
				m.Put(k, v)
				if at >= 0 {
					model[at].v = v
				} else {
					model = append(model, pair{k, v})
				}
				continue
			}
			_, had := m.Remove(k)
			if had != (at >= 0) {
				t.Fatalf("Remove said %v", had)
			}
			if at >= 0 {
				model = append(model[:at], model[at+1:]...)
			}
		}
		i := 0
		for k, v := range m.All() {
			if i >= len(model) || Key(k) != Key(model[i].k) || v != model[i].v {
				t.Fatalf("entry %d is %v=%v", i, k, v)
			}
			i++
		}
		if i != len(model) || m.Len() != len(model) {
			t.Fatalf("%d entries, want %d", i, len(model))
		}
	})
}

func TestRegexFromJava(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		full          bool
	}{
		{`\Qa.b\E+`, "a.bb", true}, {`\Qa.b\E`, "axb", false}, {`\p{Alpha}+`, "abC", true}, {`[\p{Punct}]+`, "!?-", true},
		{`\d+`, "٣", false}, {`[a-z&&[^b]]+`, "ac", true}, {`[a-z&&[^b]]+`, "abc", false}, {`a++b`, "aaab", true}, {`a++ab`, "aaab", false},
		{`(ab)++`, "abab", true}, {`x{2}+`, "xx", true}, {`(?<y>\d{4})-\k<y>`, "2020-2020", true}, {`[^\s]+`, "ab", true}, {`(?s)a.b`, "a\nb", true},
		{`a{2,}`, "aaa", true}, {`[]a]+`, "]a", true}, {`\h+`, " \t", true}, {`a\R`, "a\r\n", true},
	} {
		r, err := CompileRegex(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		m, err := r.Full(c.text)
		if err != nil || (m != nil) != c.full {
			t.Errorf("%s on %q: %v, %v", c.pattern, c.text, m != nil, err)
		}
	}
	if _, err := CompileRegex("("); err == nil {
		t.Error("an open group was accepted")
	}
}

func TestIsA(t *testing.T) {
	for _, c := range []struct {
		class, ancestor string
		want            bool
	}{
		{"hudson.AbortException", "IOException", true}, {"hudson.AbortException", "java.lang.RuntimeException", false},
		{FlowInterrupted, "InterruptedException", true}, {FlowInterrupted, "FlowInterruptedException", true},
		{"java.lang.NumberFormatException", "IllegalArgumentException", true}, {"java.lang.Integer", "Number", true},
		{"java.util.ArrayList", "Collection", true}, {"java.lang.Error", "Exception", false}, {"java.lang.String", "Object", true},
	} {
		if IsA(c.class, c.ancestor) != c.want {
			t.Errorf("IsA(%s, %s) is %v", c.class, c.ancestor, !c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	v, err := FromJSON([]byte(`{"b": [1, 2.50, null, true, "x"], "a": {"n": 12345678901234567890}}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(map[string]Value{"v": v})
	if err != nil || string(out) != `{"v":{"b":[1,2.50,null,true,"x"],"a":{"n":12345678901234567890}}}` {
		t.Errorf("%s %v", out, err)
	}
	if n, ok := v.(*Map).GetString("a").(*Map).GetString("n").(*big.Int); !ok || n.BitLen() != 64 {
		t.Errorf("n is %v", n)
	}
	for _, bad := range []string{"", "{", "1 2", `{"a"}`, strings.Repeat("[", 2000)} {
		if _, err := FromJSON([]byte(bad)); err == nil {
			t.Errorf("%.20q was accepted", bad)
		}
	}
	l := NewList()
	l.Elems = append(l.Elems, l)
	if _, err := ToJSON(l); err == nil {
		t.Error("a list of itself was written")
	}
	if s := String(l); s != "[(this Collection)]" {
		t.Error(s)
	}
}
