package jenkinsfile

import (
	"sort"
	"strings"
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
		if far := distance(strings.ToLower(word), strings.ToLower(n), limit); far <= limit {
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
		if d := distance(strings.ToLower(word), strings.ToLower(n), 1<<30); d < far {
			best, far = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap to turn a into b; anything above limit may be
// returned as limit+1.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
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
