package notify

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/internal/durable"
)

// delivery is a message on its way to one channel. It is a file until it was delivered or given up.
type delivery struct {
	Channel  string    `json:"channel"` // "smtp", "webhook NAME"
	Message  Message   `json:"message"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
	file     string
	busy     bool // an attempt is under way
}

// limits of a spool.
const (
	maxSpool   = 1000           // deliveries that wait; more are refused and counted
	maxAge     = 24 * time.Hour // after which a delivery is given up
	minBackoff = time.Second
	maxBackoff = 10 * time.Minute
)

// spool keeps deliveries in a folder, one file each. It is for one goroutine.
type spool struct {
	dir     string
	waiting []*delivery // oldest first
}

// openSpool reads what an earlier process left. Files that cannot be read are put aside and named in bad.
func openSpool(dir string) (s *spool, bad []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("notifications: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("notifications: %w", err)
	}
	s = &spool{dir: dir}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), ".part") {
			os.Remove(file) // it was never taken for written
			continue
		}
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		d := &delivery{file: file}
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, d)
		}
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: %v", file, err))
			os.Rename(file, file+".bad")
			continue
		}
		s.waiting = append(s.waiting, d)
	}
	slices.SortStableFunc(s.waiting, func(a, b *delivery) int {
		return cmp.Or(a.Message.At.Compare(b.Message.At), cmp.Compare(a.file, b.file))
	})
	return s, bad, nil
}

var errSpoolFull = fmt.Errorf("%d notifications wait already", maxSpool)

// add keeps a delivery, durably. One that waits already under the same name is the same.
func (s *spool) add(channel string, m Message, now time.Time) error {
	file := filepath.Join(s.dir, id(channel, "\x00", m.ID)+".json")
	if slices.ContainsFunc(s.waiting, func(d *delivery) bool { return d.file == file }) {
		return nil
	}
	if len(s.waiting) >= maxSpool {
		return errSpoolFull
	}
	d := &delivery{Channel: channel, Message: m, Next: now, file: file}
	if err := writeJSON(file, d); err != nil {
		return err
	}
	s.waiting = append(s.waiting, d)
	return nil
}

// done forgets a delivery.
func (s *spool) done(d *delivery) error {
	s.waiting = slices.DeleteFunc(s.waiting, func(o *delivery) bool { return o == d })
	if err := os.Remove(d.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// again puts a failed delivery off.
func (s *spool) again(d *delivery, now time.Time) error {
	pause := min(minBackoff<<min(d.Attempts, 20), maxBackoff)
	d.Attempts++
	d.Next = now.Add(pause/2 + rand.N(pause/2+1))
	return writeJSON(d.file, d)
}

// due are deliveries to try now: of each channel the oldest that is due, while none of its is under way. next is when there will be
// more; zero: when an attempt has ended, or never.
func (s *spool) due(now time.Time) (ds []*delivery, next time.Time) {
	busy := map[string]bool{}
	for _, d := range s.waiting {
		busy[d.Channel] = busy[d.Channel] || d.busy
	}
	for _, d := range s.waiting {
		switch {
		case busy[d.Channel]:
		case !now.Before(d.Next):
			ds, busy[d.Channel] = append(ds, d), true
		case next.IsZero() || d.Next.Before(next):
			next = d.Next
		}
	}
	return ds, next
}

// writeJSON replaces a file; it is durable when this returns.
func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(file, b); err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return nil
}
