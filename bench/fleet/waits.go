package main

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// bucket of the controller's histogram of waits: how many took at most so many seconds.
type bucket struct {
	atMost float64
	count  float64
}

// metrics reads the controller's metrics, and calls each with every line.
func (f *farm) metrics(ctx context.Context, each func(line string) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.address()+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if err := each(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// metric is one of the controller's figures.
func (f *farm) metric(ctx context.Context, name string) (n float64, err error) {
	err = f.metrics(ctx, func(line string) (err error) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err = strconv.ParseFloat(value, 64)
		}
		return err
	})
	return n, err
}

// waits is the histogram of how long items waited.
func (f *farm) waits(ctx context.Context) (all []bucket, err error) {
	err = f.metrics(ctx, func(line string) error {
		rest, ok := strings.CutPrefix(line, `outwork_queue_wait_seconds_bucket{le="`)
		if !ok {
			return nil
		}
		le, count, _ := strings.Cut(rest, `"} `)
		atMost, err1 := strconv.ParseFloat(le, 64)
		n, err2 := strconv.ParseFloat(count, 64)
		all = append(all, bucket{atMost, n})
		return errors.Join(err1, err2)
	})
	if err == nil && len(all) == 0 {
		err = errors.New("the controller's metrics have no outwork_queue_wait_seconds")
	}
	return all, err
}

// within is the bound of the bucket below which a share of the waits between two readings lies.
func within(before, after []bucket, share float64) float64 {
	total := after[len(after)-1].count - before[len(before)-1].count
	for i, b := range after {
		if total > 0 && b.count-before[i].count >= share*total {
			return b.atMost
		}
	}
	return math.NaN()
}
