package rest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stream that is silent says that it is there, until its reader is gone.
func TestSilentStreamsSayThatTheyAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		e := newEventWriter(&b)
		ctx, cancel := context.WithCancel(t.Context())
		go e.alive(ctx)
		time.Sleep(3*keepAlive + time.Second)
		cancel()
		synctest.Wait()
		time.Sleep(2 * keepAlive)
		if b.String() != strings.Repeat(":\n\n", 3) {
			t.Errorf("%q", b.String())
		}
	})
}

func TestNoEventEndsWithinACharacter(t *testing.T) {
	text := "a é€😀\xffz\xf0\x9f"
	for at := range len(text) + 1 {
		for by := 1; by <= 5; by++ {
			var b bytes.Buffer
			x := textEvents{out: newEventWriter(&b)}
			for rest := text[:at]; rest != ""; {
				n := min(by, len(rest))
				if err := x.add(0, []byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if strings.Contains(strings.ReplaceAll(b.String(), `z`, ""), `\ufffd`) && !strings.Contains(text[:at], "\xff") {
				t.Errorf("%d bytes, %d at once: %s", at, by, b.String())
			}
			if err := x.rest(); err != nil || x.at != int64(at) {
				t.Errorf("%d bytes, %d at once: came to %d, %v", at, by, x.at, err)
			}
		}
	}
}
