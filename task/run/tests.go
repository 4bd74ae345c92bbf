package run

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
	"github.com/outwork-build/outwork/internal/fault"
)

// Tests is what a task's JUnit reports say together.
type Tests struct {
	Total   int      `json:"total"`
	Failed  int      `json:"failed"` // errors too
	Skipped int      `json:"skipped"`
	Names   []string `json:"names,omitempty"` // of those that failed, the first hundred
}

// String is the sentence that people read.
func (t *Tests) String() string {
	s := fmt.Sprintf("%d tests", t.Total)
	if t.Failed > 0 {
		s = fmt.Sprintf("%d of %d tests failed", t.Failed, t.Total)
	}
	if t.Skipped > 0 {
		s += fmt.Sprintf(", %d skipped", t.Skipped)
	}
	return s
}

const (
	maxReport = 64 << 20 // bytes of one report
	maxNames  = 100
)

// readTests reads reports. One that cannot be read is fault.Invalid; nil without reports.
func readTests(ctx context.Context, store cas.Store, reports []tree.Entry) (*Tests, error) {
	if len(reports) == 0 {
		return nil, nil
	}
	t := &Tests{}
	for _, r := range reports {
		b, err := cas.ReadAll(ctx, store, r.Digest, maxReport)
		if err != nil {
			return nil, fmt.Errorf("report %s: %w", r.Path, err)
		}
		if err := t.add(b); err != nil {
			return nil, fault.New(fault.Invalid, "report %s: %w", strings.TrimPrefix(r.Path, "ws/"), err)
		}
	}
	return t, nil
}

// add counts the test cases of a report, whatever suites they are in.
func (t *Tests) add(report []byte) error {
	dec := xml.NewDecoder(bytes.NewReader(report))
	var name string
	var failed, skipped, inside bool
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			switch tok.Name.Local {
			case "testcase":
				name, failed, skipped, inside = caseName(tok), false, false, true
			case "failure", "error":
				failed = failed || inside
			case "skipped":
				skipped = skipped || inside
			}
		case xml.EndElement:
			if tok.Name.Local == "testcase" {
				t.count(name, failed, skipped)
				inside = false
			}
		}
	}
}

func (t *Tests) count(name string, failed, skipped bool) {
	t.Total++
	if failed {
		t.Failed++
		if len(t.Names) < maxNames {
			t.Names = append(t.Names, name)
		}
	} else if skipped {
		t.Skipped++
	}
}

func caseName(e xml.StartElement) string {
	var name, class string
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "name":
			name = a.Value
		case "classname":
			class = a.Value
		}
	}
	if class != "" {
		return class + "." + name
	}
	return name
}
