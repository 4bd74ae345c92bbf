// Command cas measures the cache over HTTP and gRPC beside nginx (WebDAV) and the machine's own limits, all in the same run. Ratios
// say more than figures: the machine is the same for all, and the load is made on it too. nginx neither hashes what it is given nor
// syncs it; the cache does both.
//
//	go run ./bench/cas -seconds 1 -rounds 3
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "cas serve:", err)
			os.Exit(1)
		}
		return
	}
	seconds := flag.Float64("seconds", 1, "time of each measurement of small blobs")
	rounds := flag.Int("rounds", 3, "measurements of each row; the median counts")
	flag.Parse()
	if err := run(os.Stdout, time.Duration(*seconds*float64(time.Second)), *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "cas:", err)
		os.Exit(1)
	}
}

// row is a kind of request, measured at several numbers of clients.
type row struct {
	name    string
	unit    string
	clients []int
	ours    func(c int) (float64, error)
	theirs  func(c int) (float64, error) // nginx; nil when it does not do this
}

func run(w io.Writer, length time.Duration, rounds int) error {
	dir, err := os.MkdirTemp(".", ".bench-cas-") // on the disk that the project is on: a tmpfs syncs nothing
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := limits(w, dir); err != nil {
		return err
	}
	ours, err := startOurs(dir)
	if err != nil {
		return err
	}
	defer ours.stop()
	nginx, err := startNginx(dir)
	if err != nil {
		return err
	}
	defer nginx.stop()
	rows, err := rows(ours, nginx, length)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "request\tclients\tunit\toutwork\tnginx\tof nginx\t")
	for _, r := range rows {
		for _, c := range r.clients {
			if err := measure(out, r, c, rounds); err != nil {
				return fmt.Errorf("%s at %d clients: %w", r.name, c, err)
			}
		}
	}
	return out.Flush()
}

// measure prints one line. The rounds of both servers alternate: the machine is not alone.
func measure(w io.Writer, r row, c, rounds int) error {
	var ours, theirs []float64
	for range rounds {
		v, err := r.ours(c)
		if err != nil {
			return err
		}
		ours = append(ours, v)
		if r.theirs == nil {
			continue
		}
		if v, err = r.theirs(c); err != nil {
			return fmt.Errorf("nginx: %w", err)
		}
		theirs = append(theirs, v)
	}
	if r.theirs == nil {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t\t\t\n", r.name, c, r.unit, median(ours))
		return nil
	}
	fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%.0f\t%.2f\t\n", r.name, c, r.unit, median(ours), median(theirs), median(ours)/median(theirs))
	return nil
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
