package pipeline

import (
	"context"

	"github.com/outwork-build/outwork/build"
)

// Entry is one line of a build's journal. The store does not look into Data.
type Entry struct {
	Seq  uint64 // from 1, without gaps, within one build
	Data []byte // at most 16 MiB
}

// Store keeps what a run needs to be resumed: its journal and the texts it was started with.
//
// The record of the build itself is build.Store's. All methods may be called concurrently; calls for one build come from
// one goroutine at a time.
type Store interface {
	// Append adds entries to the end of a build's journal, all or none. They are on disk when it returns. An entry whose Seq
	// is not the journal's last plus one answers fault.Stale and nothing is kept: another controller has gone on with the run.
	Append(ctx context.Context, id build.ID, entries []Entry) error
	// Load reads a build's journal by Seq; nothing is no error.
	Load(ctx context.Context, id build.ID) ([]Entry, error)
	// PutText pins a text of the run under a name ("Jenkinsfile"). It need not be durable at return, but is never after a
	// later Append: before that nothing has been done that the text would explain. A name that is there already is kept as
	// it is, and is no error: the text of a run never changes.
	PutText(ctx context.Context, id build.ID, name, text string) error
	// Texts reads every pinned text of the run by its name; none is an empty map.
	Texts(ctx context.Context, id build.ID) (map[string]string, error)
	// Drop forgets the journal and the texts of a build. It need not be durable at return: nobody resumes a build that has
	// finished, and what a crash leaves goes with the build. Dropping what is not there is no error.
	Drop(ctx context.Context, id build.ID) error
	// Unfinished lists every build that is Queued or Running, in the order they were accepted.
	Unfinished(ctx context.Context) ([]build.Build, error)
}
