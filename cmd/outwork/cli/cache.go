package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/internal/fault"
)

func (e *env) cacheCmd() *cobra.Command {
	c := &cobra.Command{Use: "cache", Short: "Look after the cache of this machine",
		Long: "Look after the cache of this machine, which outwork build fills. A controller counts its own at /metrics and bounds it by --cache-gib;\n" +
			"while it is stopped, stats and verify take the folder cas of its data folder with --store."}
	c.AddCommand(e.cacheStatsCmd(), e.cacheVerifyCmd(), e.cacheGCCmd())
	return c
}

// onStore is a verb that works on a store. Without all of it being said otherwise it is that of the machine's cache.
func (e *env) onStore(c *cobra.Command, any bool, do func(ctx context.Context, s *disk.Store) error) *cobra.Command {
	var f taskFlags
	var store string
	c.Args = exactly(0, "no argument")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if store == "" {
			dir, err := e.cacheDir(f)
			if err != nil {
				return err
			}
			store = filepath.Join(dir, "blobs")
		}
		if _, err := os.Stat(store); errors.Is(err, fs.ErrNotExist) {
			return fault.New(fault.NotFound, "there is no cache in %s", store)
		}
		s, err := disk.Open(disk.Config{Dir: store, MaxBytes: math.MaxInt64 / 2, MaxBlobs: math.MaxInt}) // opening makes no room
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		return do(c.Context(), s)
	}
	c.Flags().StringVar(&f.cache, "cache", "", "folder of the cache (default: $OUTWORK_CACHE, else outwork in the user's cache folder)")
	if any {
		c.Flags().StringVar(&store, "store", "", "folder of a store that is no machine's cache, such as cas in a stopped controller's data folder")
	}
	return c
}

func (e *env) cacheStatsCmd() *cobra.Command {
	return e.onStore(&cobra.Command{Use: "stats", Short: "Count what is in the cache", Example: "  outwork cache stats"}, true,
		func(_ context.Context, s *disk.Store) error {
			st := s.Stats()
			return e.show(st, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "blobs\t%d\n", st.Blobs)
				fmt.Fprintf(w, "results\t%d\n", st.Actions)
				fmt.Fprintf(w, "disk space\t%s\n", mib(st.Bytes))
				fmt.Fprintf(w, "garbage in packs\t%s\n", mib(st.Garbage))
			})
		})
}

func (e *env) cacheVerifyCmd() *cobra.Command {
	return e.onStore(&cobra.Command{Use: "verify", Short: "Read all of the cache and drop what was damaged",
		Long:    "Read all of the cache, hold it against its digests, and drop what was damaged: it is made again when it is needed.",
		Example: "  outwork cache verify\n  outwork cache verify --store /var/lib/outwork/cas"}, true,
		func(ctx context.Context, s *disk.Store) error {
			r, err := s.Verify(ctx)
			if err != nil {
				return err
			}
			err = e.show(r, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "%d blobs and %d results are sound, %s; %d were damaged and dropped\n", r.Blobs, r.Actions, mib(r.Bytes), r.Dropped)
			})
			if err == nil && r.Dropped > 0 {
				return errResult{"DAMAGED"}
			}
			return err
		})
}

func (e *env) cacheGCCmd() *cobra.Command {
	var max int64
	c := e.onStore(&cobra.Command{Use: "gc", Short: "Make the cache smaller: what was used least recently goes", Example: "  outwork cache gc --max-mib 500"}, false,
		func(ctx context.Context, s *disk.Store) error {
			if max < 0 {
				return errUsage{fmt.Errorf("--max-mib %d: expected 0 or more", max)}
			}
			before := s.Stats()
			used, err := s.Shrink(ctx, max<<20)
			return e.done(err, "Gave up %d blobs and results: %s instead of %s.", s.Stats().Evicted, mib(used), mib(before.Bytes))
		})
	c.Flags().Int64Var(&max, "max-mib", 0, "what the cache may take afterwards, in MiB; what was used in the last ten minutes stays")
	return c
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
