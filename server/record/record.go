// Package record is what all faces of the server do with the records of jobs and builds: where their pages are, how their files
// are handed out, and what goes when they go. Its functions may be called concurrently.
package record

import (
	"context"
	"log/slog"
	"net/url"
	"strconv"

	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/internal/fault"
)

// JobPage is the path of a job's page.
func JobPage(n build.JobName) string { return "/jobs/" + url.PathEscape(string(n)) }

// BuildPage is the path of a build's page.
func BuildPage(id build.ID) string { return JobPage(id.Job) + "/" + strconv.Itoa(id.Number) }

// RemoveJob deletes a job with its builds and their logs. fault.Conflict while a build is unfinished. A log that cannot be removed is
// told to log: nothing refers to it any more.
func RemoveJob(ctx context.Context, builds build.Store, logs *buildlog.Store, log *slog.Logger, n build.JobName) error {
	bs, err := builds.Builds(ctx, build.Filter{Job: n, Limit: 1 << 30})
	if err != nil {
		return err
	}
	if err := builds.DeleteJob(ctx, n); err != nil {
		return err
	}
	for _, b := range bs {
		if err := logs.Remove(b.ID); err != nil && !fault.Is(err, fault.NotFound) {
			log.Warn("remove a log", "build", b.ID.String(), "error", err)
		}
	}
	return nil
}

// RemoveBuild deletes a finished build and its log.
func RemoveBuild(ctx context.Context, builds build.Store, logs *buildlog.Store, id build.ID) error {
	if err := builds.DeleteBuild(ctx, id); err != nil {
		return err
	}
	return logs.Remove(id)
}
