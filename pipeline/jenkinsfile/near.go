package jenkinsfile

import (
	"sort"
	"strings"

	"github.com/outwork-build/outwork/internal/near"
)

// nearest returns the names that are spelled most like a word, best first, at most three: those within a third of its length.
func nearest(word string, names []string) []string {
	type candidate struct {
		name string
		far  int
	}
	limit := max(len(word)/3, 1)
	var found []candidate
	for _, n := range names {
		if far := near.Distance(strings.ToLower(word), strings.ToLower(n), limit); far <= limit {
			found = append(found, candidate{n, far})
		}
	}
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].far != found[j].far {
			return found[i].far < found[j].far
		}
		return found[i].name < found[j].name
	})
	var out []string
	for _, c := range found {
		if len(out) == 3 || c.far > found[0].far {
			break
		}
		out = append(out, c.name)
	}
	return out
}

// closest returns the name spelled most like a word, however far it is; "" when there are none.
func closest(word string, names []string) string {
	best, far := "", 1<<30
	for _, n := range names {
		if d := near.Distance(strings.ToLower(word), strings.ToLower(n), 1<<30); d < far {
			best, far = n, d
		}
	}
	return best
}

// didYouMean renders a suggestion: ` … did you mean "sh"?`, or "" when nothing is near.
func didYouMean(word string, names []string) string {
	near := nearest(word, names)
	if len(near) == 0 {
		return ""
	}
	for i, n := range near {
		near[i] = `"` + n + `"`
	}
	return " … did you mean " + strings.Join(near, " or ") + "?"
}
