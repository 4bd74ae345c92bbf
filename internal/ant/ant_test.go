package ant_test

import (
	"testing"

	"github.com/outwork-build/outwork/internal/ant"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		fold, want    bool
	}{
		{"main", "main", false, true},
		{"main", "Main", false, false},
		{"main", "Main", true, true},
		{"release-*", "release-1.2", false, true},
		{"release-*", "release-1/2", false, false},
		{"release/**", "release/1/2", false, true},
		{"release/**", "release", false, true},
		{"release/", "release/1/2", false, true},
		{"**/*.jar", "a.jar", false, true},
		{"**/*.jar", "x/y/a.jar", false, true},
		{"**/*.jar", "x/y/a.jar.sha", false, false},
		{"**/test/**/b", "a/test/c/d/b", false, true},
		{"**/test/**/b", "a/b", false, false},
		{"?ä*", "xäyz", false, true},
		{"a?c", "aäc", false, true},
		{"*a*b*c", "xxaxxbxxbc", false, true},
		{"*", "", false, true},
		{"", "x", false, false},
		{"**", "a/b/c", false, true},
	} {
		if got := ant.Match(c.pattern, c.name, c.fold); got != c.want {
			t.Errorf("Match(%q, %q, %v) = %v, want %v", c.pattern, c.name, c.fold, got, c.want)
		}
	}
	if !ant.MatchAny("*.txt, build/", "build/x/y", false) || ant.MatchAny("", "x", false) {
		t.Error("MatchAny")
	}
}
