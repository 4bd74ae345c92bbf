// Package kit is what launchers share that log in to a machine: how they read their settings, errors that say what to do, and a node's log
// without secrets.
package kit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
)

// Settings reads a node's LauncherSpec.Config, and gathers all that is wrong with it. It is for one goroutine.
type Settings struct {
	node     fleet.Node
	used     map[string]bool
	problems []string
}

// Read begins to read the settings of a node.
func Read(n fleet.Node) *Settings { return &Settings{node: n, used: map[string]bool{}} }

// Bad notes what is wrong with a setting. The format follows fmt.Sprintf.
func (s *Settings) Bad(key, format string, args ...any) {
	s.Wrong("launcher.config."+key, format, args...)
}

// Wrong notes what is wrong with a field of the node.
func (s *Settings) Wrong(field, format string, args ...any) {
	s.problems = append(s.problems, field+": "+fmt.Sprintf(format, args...))
}

// Has reports whether a setting is there, and not empty.
func (s *Settings) Has(key string) bool { return s.node.Launcher.Config[key] != "" }

// Text is a setting as it stands, or the default of one that is absent or empty.
func (s *Settings) Text(key, or string) string {
	s.used[key] = true
	if v := s.node.Launcher.Config[key]; v != "" {
		return v
	}
	return or
}

// Ref is where a secret is: SCHEME:NAME.
func (s *Settings) Ref(key string, or secret.Ref) secret.Ref {
	ref := secret.Ref(s.Text(key, string(or)))
	if ref != "" {
		if _, _, err := ref.Split(); err != nil {
			s.Bad(key, "%v", err)
		}
	}
	return ref
}

// Yes is true or false.
func (s *Settings) Yes(key string, or bool) bool {
	v := s.Text(key, strconv.FormatBool(or))
	b, err := strconv.ParseBool(v)
	if err != nil {
		s.Bad(key, "%q: expected true or false", v)
	}
	return b
}

// Number is one from low to high; the default need not be.
func (s *Settings) Number(key string, or, low, high int) int {
	v := s.Text(key, "")
	if v == "" {
		return or
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		s.Bad(key, "%q: expected a number from %d to %d", v, low, high)
	}
	return n
}

// Duration is from a millisecond to a day.
func (s *Settings) Duration(key string, or time.Duration) time.Duration {
	v := s.Text(key, or.String())
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Millisecond || d > 24*time.Hour {
		s.Bad(key, "%q: expected a time like 30s", v)
	}
	return d
}

// Err is all that was wrong, settings that nobody asked for included: fault.Invalid.
func (s *Settings) Err() error {
	for key := range s.node.Launcher.Config {
		if !s.used[key] {
			s.Bad(key, "is not a setting of the %s launcher", s.node.Launcher.Kind)
		}
	}
	if len(s.problems) == 0 {
		return nil
	}
	slices.Sort(s.problems)
	return fault.New(fault.Invalid, "node %s: %s", s.node.Name, strings.Join(s.problems, "; "))
}
