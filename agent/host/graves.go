package host

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// gravesFile has one JSON string a line: the ids of forgotten steps. It is what keeps them from being started again.
const gravesFile = "forgotten"

// entomb remembers on disk that a step was forgotten. Call it with l.mu held.
func (l *lease) entomb(st *step) error {
	line, err := json.Marshal(st.Step)
	if err != nil {
		return err
	}
	if l.graves == nil {
		l.graves, err = os.OpenFile(filepath.Join(l.dir, gravesFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.graves.Write(append(line, '\n'))
	l.torn = err != nil && (n > 0 || l.torn)
	return err
}

// loadForgotten reads what entomb wrote.
func (l *lease) loadForgotten() error {
	text, err := os.ReadFile(filepath.Join(l.dir, gravesFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l.torn = len(text) > 0 && text[len(text)-1] != '\n'
	for line := range strings.Lines(string(text)) {
		var c claim
		if json.Unmarshal([]byte(line), &c.Step) != nil {
			continue // cut off: that Forget was not answered
		}
		st := l.newStep(c)
		st.forgotten = true
		close(st.done)
		l.enter(st)
	}
	return nil
}
