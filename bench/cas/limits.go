package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// limits prints what the machine can do at most.
func limits(w io.Writer, dir string) error {
	data := make([]byte, 64<<20)
	start := time.Now()
	sha256.Sum256(data)
	fmt.Fprintf(w, "limit: SHA-256 of 64 MiB on one core  %.0f MB/s\n", rate(len(data), start))

	f, err := os.Create(filepath.Join(dir, "limit"))
	if err != nil {
		return err
	}
	defer f.Close()
	start = time.Now()
	syncs := 0
	for ; time.Since(start) < time.Second; syncs++ {
		if _, err := f.Write(data[:4096]); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "limit: append 4 KiB and sync          %.0f /s\n", float64(syncs)/time.Since(start).Seconds())
	start = time.Now()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	fmt.Fprintf(w, "limit: write 64 MiB and sync          %.0f MB/s\n", rate(len(data), start))
	return loopback(w, data)
}

func loopback(w io.Writer, data []byte) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			for range 16 {
				c.Write(data)
			}
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
	fmt.Fprintf(w, "limit: loopback TCP                   %.0f MB/s\n\n", rate(int(n), start))
	return err
}

func rate(n int, since time.Time) float64 { return float64(n) / 1e6 / time.Since(since).Seconds() }
