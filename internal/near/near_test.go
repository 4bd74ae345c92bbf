package near_test

import (
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/near"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"same", "same", 0}, {"kitten", "sitting", 3}, {"labels", "lables", 1}, {"ab", "ba", 1}, {"ca", "abc", 3},
		{"naïve", "naive", 1}, {"größe", "größer", 1}, {"a", "b", 1},
	} {
		for _, limit := range []int{10, c.want} {
			if got := near.Distance(c.a, c.b, limit); got != c.want {
				t.Errorf("%q to %q within %d: %d, expected %d", c.a, c.b, limit, got, c.want)
			}
			if got := near.Distance(c.b, c.a, limit); got != c.want {
				t.Errorf("%q to %q within %d: %d, expected %d", c.b, c.a, limit, got, c.want)
			}
		}
		if got := near.Distance(c.a, c.b, c.want-1); c.want > 0 && got < c.want {
			t.Errorf("%q to %q within %d: %d", c.a, c.b, c.want-1, got)
		}
	}
	if long := strings.Repeat("x", 1000); near.Distance(long, long+"y", 3) != 4 {
		t.Error("a long word")
	}
}
