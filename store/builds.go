package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// Builds is build.Store and build.Details.
type Builds struct{ engine Engine }

var (
	_ build.Store   = (*Builds)(nil)
	_ build.Details = (*Builds)(nil)
)

// PutJob keeps a job. Its NextNumber is the ledger's own and is left as it is.
func (s *Builds) PutJob(ctx context.Context, j build.Job, create bool) error {
	if err := build.CheckJobName(j.Name); err != nil {
		return fault.With(fault.Invalid, err)
	}
	j.NextNumber = 0
	data, err := encode(j)
	if err != nil {
		return err
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		if !create {
			n, err := tx.Exec("job.update", data, string(j.Name))
			if err == nil && n == 0 {
				return noJob(j.Name)
			}
			return err
		}
		n, err := tx.Exec("job.insert", string(j.Name), data)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "job %q exists", j.Name)
		}
		_, err = tx.Exec("job.number", string(j.Name))
		return err
	})
}

func noJob(n build.JobName) error { return fault.New(fault.NotFound, "no job %q", n) }

func noBuild(id build.ID) error { return fault.New(fault.NotFound, "no build %s", id) }

func scanJob(scan func(...any) error) (build.Job, error) {
	var data []byte
	var next int
	if err := scan(&data, &next); err != nil {
		return build.Job{}, err
	}
	var j build.Job
	if err := json.Unmarshal(data, &j); err != nil {
		return j, fmt.Errorf("job row: %w", err)
	}
	j.NextNumber = next
	return j, nil
}

// Job returns one job.
func (s *Builds) Job(ctx context.Context, name build.JobName) (build.Job, error) {
	var j build.Job
	err := s.engine.Read(ctx, func(tx Tx) error {
		found := false
		err := tx.Query("job.get", []any{string(name)}, func(scan func(...any) (err error)) (err error) {
			found = true
			j, err = scanJob(scan)
			return err
		})
		if err == nil && !found {
			return noJob(name)
		}
		return err
	})
	return j, err
}

// Jobs returns all jobs by name.
func (s *Builds) Jobs(ctx context.Context) ([]build.Job, error) {
	var all []build.Job
	err := s.engine.Read(ctx, func(tx Tx) error {
		all = nil
		return tx.Query("job.list", nil, func(scan func(...any) error) error {
			j, err := scanJob(scan)
			all = append(all, j)
			return err
		})
	})
	return all, err
}

// DeleteJob forgets a job and its builds. Its numbers are not given again.
func (s *Builds) DeleteJob(ctx context.Context, name build.JobName) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		var number int
		if found, err := one(tx, "job.unfinished", []any{string(name)}, &number); err != nil {
			return err
		} else if found {
			return fault.New(fault.Conflict, "job %q: build #%d is not finished: abort it first", name, number)
		}
		n, err := tx.Exec("job.delete", string(name))
		if err != nil {
			return err
		}
		if n == 0 {
			return noJob(name)
		}
		_, err = tx.Exec("job.delete_builds", string(name))
		return err
	})
}

// Accept keeps a new build under the job's next number. It is refused with fault.Exhausted some time before the disk is full, so
// that what runs can end.
func (s *Builds) Accept(ctx context.Context, b build.Build) (build.ID, error) {
	if b.State != build.Queued {
		return build.ID{}, fault.New(fault.Invalid, "build of %q: accepted in state %q, expected %q", b.ID.Job, b.State, build.Queued)
	}
	if err := s.engine.Admit(); err != nil {
		return build.ID{}, err
	}
	var id build.ID
	err := s.engine.Write(ctx, func(tx Tx) error {
		number := 0
		found, err := one(tx, "job.take_number", []any{string(b.ID.Job)}, &number)
		if err != nil {
			return err
		}
		if !found {
			return noJob(b.ID.Job)
		}
		row := b
		row.ID.Number = number
		data, err := encode(row)
		if err != nil {
			return err
		}
		id = row.ID
		_, err = tx.Exec("build.insert", string(id.Job), id.Number, string(row.State), data)
		return err
	})
	if err != nil {
		return build.ID{}, err
	}
	return id, nil
}

// rowOf returns the build and the key that its details hang on.
func rowOf(tx Tx, id build.ID) (key int64, b build.Build, err error) {
	var data []byte
	found, err := one(tx, "build.get", []any{string(id.Job), id.Number}, &key, &data)
	switch {
	case err != nil:
		return 0, b, err
	case !found:
		return 0, b, noBuild(id)
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return 0, b, fmt.Errorf("build row %s: %w", id, err)
	}
	return key, b, nil
}

// Build returns one build.
func (s *Builds) Build(ctx context.Context, id build.ID) (b build.Build, err error) {
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		_, b, err = rowOf(tx, id)
		return err
	})
	return b, err
}

// Builds returns the builds that the filter chooses, newest first.
func (s *Builds) Builds(ctx context.Context, f build.Filter) ([]build.Build, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	before := f.Before
	if before <= 0 {
		before = math.MaxInt32
	}
	type row struct {
		key  int64
		data []byte
	}
	var rows []row
	err := s.engine.Read(ctx, func(tx Tx) error {
		rows = nil
		read := func(query string, args ...any) error {
			return tx.Query(query, args, func(scan func(...any) error) error {
				var r row
				err := scan(&r.key, &r.data)
				rows = append(rows, r)
				return err
			})
		}
		switch {
		case len(f.States) == 0 && f.Job == "":
			return read("build.newest", limit)
		case len(f.States) == 0:
			return read("build.newest_of_job", string(f.Job), before, limit)
		}
		// One query a state: each reads only what it hands out, from the end of an index.
		states := slices.Compact(slices.Sorted(slices.Values(f.States)))
		for _, st := range states {
			var err error
			if f.Job == "" {
				err = read("build.newest_in_state", string(st), limit)
			} else {
				err = read("build.newest_of_job_in_state", string(f.Job), string(st), before, limit)
			}
			if err != nil {
				return err
			}
		}
		slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(b.key, a.key) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]build.Build, 0, min(len(rows), limit))
	for _, r := range rows[:min(len(rows), limit)] {
		var b build.Build
		if err := json.Unmarshal(r.data, &b); err != nil {
			return nil, fmt.Errorf("build row %d: %w", r.key, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// Update changes a build. change runs within the ledger's transaction: it must not wait, nor call a store.
func (s *Builds) Update(ctx context.Context, id build.ID, change func(*build.Build) error) (build.Build, error) {
	var after build.Build
	err := s.engine.Write(ctx, func(tx Tx) error {
		key, b, err := rowOf(tx, id)
		if err != nil {
			return err
		}
		was, result := b.State, b.Result
		if err := change(&b); err != nil {
			return err
		}
		switch {
		case b.ID != id:
			return fault.New(fault.Invalid, "build %s: a build's name cannot be changed to %s", id, b.ID)
		case was == build.Finished && (b.State != build.Finished || b.Result != result):
			return fault.New(fault.Conflict, "build %s is finished: its state and result stay %s", id, result)
		case was == build.Running && b.State == build.Queued:
			return fault.New(fault.Conflict, "build %s is running: it cannot be queued again", id)
		}
		data, err := encode(b)
		if err != nil {
			return err
		}
		after = b
		_, err = tx.Exec("build.update", string(b.State), data, key)
		return err
	})
	if err != nil {
		return build.Build{}, err
	}
	return after, nil
}

// DeleteBuild forgets a finished build and what hangs on it; fault.Conflict for an unfinished one.
func (s *Builds) DeleteBuild(ctx context.Context, id build.ID) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		key, b, err := rowOf(tx, id)
		if err != nil {
			return err
		}
		if b.State != build.Finished {
			return fault.New(fault.Conflict, "build %s is %s: abort it first", id, b.State)
		}
		_, err = tx.Exec("build.delete", key)
		return err
	})
}
