package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"github.com/outwork-build/outwork/internal/fault"
)

// ReadPolicy reads a policy in YAML, with the names of Policy's fields; durations are as 90s or 5m. An empty text is the default
// policy. Mistakes, and fields that there are not, are fault.Invalid and say where they are.
func ReadPolicy(text []byte) (Policy, error) {
	var p Policy
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&p)
	if err != nil && !errors.Is(err, io.EOF) {
		return Policy{}, fault.With(fault.Invalid, fmt.Errorf("scheduling policy: %s", yaml.FormatError(err, false, true)))
	}
	if err := p.Check(); err != nil {
		return Policy{}, fault.With(fault.Invalid, fmt.Errorf("scheduling policy: %w", err))
	}
	return p, nil
}
