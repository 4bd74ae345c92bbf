// Command link measures the links between controller and agent: bytes a second one way, and the round trip of one byte, each beside
// a bare loopback connection in the same run. Ratios say more than figures: the machine is the same for both.
//
//	go run ./bench/link -seconds 3
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
	if relay() {
		return
	}
	seconds := flag.Float64("seconds", 2, "time of each measurement")
	trips := flag.Int("trips", 2000, "round trips of each measurement")
	flag.Parse()
	if err := run(os.Stdout, time.Duration(*seconds*float64(time.Second)), *trips); err != nil {
		fmt.Fprintln(os.Stderr, "link:", err)
		os.Exit(1)
	}
}

// transport is a way to carry bytes. open makes both ends; far may be in another process behind a relay.
type transport struct {
	name string
	open func() (near, far io.ReadWriteCloser, err error)
}

// figures of one transport.
type figures struct {
	rate float64 // MB/s
	trip time.Duration
}

func run(w io.Writer, length time.Duration, trips int) error {
	all := transports()
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "link\tMB/s\tof bare\tround trip\tof bare\t")
	for _, t := range all[1:] {
		bare, err := measure(all[0], length, trips) // each time: the machine is not alone
		if err != nil {
			return fmt.Errorf("%s: %w", all[0].name, err)
		}
		f, err := measure(t, length, trips)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\t%v\t%v\t\n", all[0].name, bare.rate, bare.rate, bare.trip, bare.trip)
		fmt.Fprintf(out, "%s\t%.0f\t%.2f\t%v\t%.2f\t\n", t.name, f.rate, f.rate/bare.rate, f.trip, float64(f.trip)/float64(bare.trip))
	}
	return out.Flush()
}

func measure(t transport, length time.Duration, trips int) (figures, error) {
	near, far, err := t.open()
	if err != nil {
		return figures{}, err
	}
	defer near.Close()
	defer far.Close()
	trip, err := roundTrip(near, far, trips)
	if err != nil {
		return figures{}, fmt.Errorf("round trip: %w", err)
	}
	rate, err := throughput(near, far, length)
	if err != nil {
		return figures{}, fmt.Errorf("throughput: %w", err)
	}
	return figures{rate, trip}, nil
}

// roundTrip is the median time from a byte's way out to its way back.
func roundTrip(near, far io.ReadWriter, trips int) (time.Duration, error) {
	echoed := make(chan error, 1)
	go func() {
		one := make([]byte, 1)
		for range trips {
			if _, err := io.ReadFull(far, one); err != nil {
				echoed <- err
				return
			}
			if _, err := far.Write(one); err != nil {
				echoed <- err
				return
			}
		}
		echoed <- nil
	}()
	times, one := make([]time.Duration, trips), make([]byte, 1)
	for i := range times {
		start := time.Now()
		if _, err := near.Write(one); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(near, one); err != nil {
			return 0, err
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[trips/2].Round(time.Microsecond), <-echoed
}

// throughput is MB/s from near to far, over about the given time, by writes of 64 KiB.
func throughput(near, far io.ReadWriteCloser, length time.Duration) (float64, error) {
	wrote := make(chan error, 1)
	start := time.Now()
	go func() {
		p := make([]byte, 64<<10)
		for time.Since(start) < length {
			if _, err := near.Write(p); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
		near.Close()
	}()
	n, err := io.Copy(io.Discard, struct{ io.Reader }{far})
	took := time.Since(start)
	if writeErr := <-wrote; writeErr != nil {
		err = writeErr
	}
	return float64(n) / 1e6 / took.Seconds(), err
}
