package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/pipeline"
)

// memory is a build.Store and a pipeline.Store that outlive the Runner, as the ledger does.
type memory struct {
	mu       sync.Mutex
	jobs     map[build.JobName]build.Job
	builds   map[build.ID]build.Build
	order    []build.ID
	journals map[build.ID][]pipeline.Entry
	texts    map[build.ID]map[string]string
	room     int  // entries that Append still takes; negative is no limit
	refused  bool // Append has refused an entry for lack of room
}

var errFull = errors.New("the controller dies here")

func newMemory() *memory {
	return &memory{jobs: map[build.JobName]build.Job{}, builds: map[build.ID]build.Build{}, journals: map[build.ID][]pipeline.Entry{}, texts: map[build.ID]map[string]string{}, room: -1}
}

func (m *memory) PutJob(_ context.Context, j build.Job, create bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.jobs[j.Name]
	if ok && create {
		return fault.New(fault.Conflict, "job %s exists", j.Name)
	}
	j.NextNumber = max(old.NextNumber, 1)
	m.jobs[j.Name] = j
	return nil
}

func (m *memory) Job(_ context.Context, n build.JobName) (build.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.jobs[n]
	if !ok {
		return j, fault.New(fault.NotFound, "no job %s", n)
	}
	return j, nil
}

func (m *memory) Jobs(context.Context) ([]build.Job, error)      { return nil, nil }
func (m *memory) DeleteJob(context.Context, build.JobName) error { return nil }

func (m *memory) Accept(_ context.Context, b build.Build) (build.ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[b.ID.Job]
	b.ID.Number = j.NextNumber
	j.NextNumber++
	m.jobs[j.Name] = j
	m.builds[b.ID] = b
	m.order = append(m.order, b.ID)
	return b.ID, nil
}

func (m *memory) Build(_ context.Context, id build.ID) (build.Build, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.builds[id]
	if !ok {
		return b, fault.New(fault.NotFound, "no build %s", id)
	}
	return b, nil
}

func (m *memory) Builds(_ context.Context, f build.Filter) ([]build.Build, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []build.Build
	for _, id := range slices.Backward(m.order) {
		b, ok := m.builds[id]
		if !ok || f.Job != "" && id.Job != f.Job || f.Before > 0 && id.Number >= f.Before || len(f.States) > 0 && !slices.Contains(f.States, b.State) {
			continue
		}
		if out = append(out, b); f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out, nil
}

func (m *memory) Update(_ context.Context, id build.ID, change func(*build.Build) error) (build.Build, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.builds[id]
	if !ok {
		return b, fault.New(fault.NotFound, "no build %s", id)
	}
	was := b.State
	if err := change(&b); err != nil {
		return b, err
	}
	if was == build.Finished && b.State != was {
		return b, fault.New(fault.Conflict, "build %s has finished", id)
	}
	m.builds[id] = b
	return b, nil
}

func (m *memory) DeleteBuild(_ context.Context, id build.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.builds, id)
	return nil
}

func (m *memory) Append(_ context.Context, id build.ID, es []pipeline.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range es {
		if m.room == 0 {
			m.refused = true
			return errFull
		}
		if e.Seq != uint64(len(m.journals[id]))+1 {
			return fault.New(fault.Stale, "entry %d does not follow %d", e.Seq, len(m.journals[id]))
		}
		m.room--
		m.journals[id] = append(m.journals[id], e)
	}
	return nil
}

func (m *memory) Load(_ context.Context, id build.ID) ([]pipeline.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.journals[id]), nil
}

func (m *memory) PutText(_ context.Context, id build.ID, name, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.texts[id] == nil {
		m.texts[id] = map[string]string{}
	}
	if _, ok := m.texts[id][name]; !ok {
		m.texts[id][name] = text
	}
	return nil
}

func (m *memory) Texts(ctx context.Context, id build.ID) (map[string]string, error) {
	if err := ctx.Err(); err != nil { // as a database does
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]string{}
	for k, v := range m.texts[id] {
		out[k] = v
	}
	return out, nil
}

func (m *memory) Drop(_ context.Context, id build.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.journals, id)
	delete(m.texts, id)
	return nil
}

func (m *memory) Unfinished(context.Context) ([]build.Build, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []build.Build
	for _, id := range m.order {
		if b, ok := m.builds[id]; ok && b.State != build.Finished {
			out = append(out, b)
		}
	}
	return out, nil
}

// limit makes Append fail after n more entries; negative is never.
func (m *memory) limit(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room, m.refused = n, false
}

// full reports that Append has refused an entry since the limit was set.
func (m *memory) full() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused
}

// journal is the journal of a build as text.
func (m *memory) journal(id build.ID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, e := range m.journals[id] {
		b.Write(e.Data)
	}
	return b.String()
}

func (m *memory) journalled(id build.ID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.journals[id])
}

func sorted(s []string) []string { sort.Strings(s); return s }
