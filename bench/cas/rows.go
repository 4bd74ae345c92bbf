package main

import (
	"sync/atomic"
	"time"
)

// rows are all that is measured.
func rows(ours, nginx *process, length time.Duration) ([]row, error) {
	little, err := newSource(small)
	if err != nil {
		return nil, err
	}
	big, err := newSource(large)
	if err != nil {
		return nil, err
	}
	web, dav := newWeb(ours.address, "/cas/"), newWeb(nginx.address, "/")
	rpc, err := newRPC(ours.address)
	if err != nil {
		return nil, err
	}
	const known = 1000
	var smalls []*blob
	for range known {
		b := little.next()
		if err := dav.put(b); err != nil {
			return nil, err
		}
		smalls = append(smalls, b)
		if len(smalls)%100 == 0 {
			if err := rpc.update(smalls[len(smalls)-100:]...); err != nil {
				return nil, err
			}
		}
	}
	one := big.next()
	for _, w := range []interface{ put(*blob) error }{web, dav} {
		if err := w.put(one); err != nil {
			return nil, err
		}
	}
	var turn atomic.Uint64
	pick := func() *blob { return smalls[turn.Add(1)%known] }
	hundred := func() []*blob { at := turn.Add(1) % (known / 100) * 100; return smalls[at : at+100] }
	fresh := func() (bs []*blob) {
		for range 100 {
			bs = append(bs, little.next())
		}
		return bs
	}
	persec := func(many int, do func() error) func(int) (float64, error) {
		return func(c int) (float64, error) { return drive(c, length, many, do) }
	}
	// Large ones count bytes; each client does at least one.
	rate := func(do func() error) func(int) (float64, error) {
		return func(c int) (float64, error) {
			n, err := drive(c, length, 1, do)
			return n * large / 1e6, err
		}
	}
	few, some := []int{1, 16, 64}, []int{1, 16}
	return []row{
		{"HTTP PUT 1 KiB", "/s", few, persec(1, func() error { return web.put(little.next()) }), persec(1, func() error { return dav.put(little.next()) })},
		{"HTTP GET 1 KiB", "/s", few, persec(1, func() error { return web.get(pick()) }), persec(1, func() error { return dav.get(pick()) })},
		{"HTTP PUT 64 MiB", "MB/s", some, rate(func() error { return web.put(big.next()) }), rate(func() error { return dav.put(big.next()) })},
		{"HTTP GET 64 MiB", "MB/s", some, rate(func() error { return web.get(one) }), rate(func() error { return dav.get(one) })},
		{"ByteStream.Write 1 KiB", "/s", few, persec(1, func() error { return rpc.write(little.next()) }), nil},
		{"ByteStream.Read 1 KiB", "/s", few, persec(1, func() error { return rpc.readStream(pick()) }), nil},
		{"BatchUpdateBlobs of 100 × 1 KiB", "blobs/s", some, persec(100, func() error { return rpc.update(fresh()...) }), nil},
		{"BatchReadBlobs of 100 × 1 KiB", "blobs/s", some, persec(100, func() error { return rpc.read(hundred()...) }), nil},
		{"ByteStream.Write 64 MiB", "MB/s", some, rate(func() error { return rpc.write(big.next()) }), nil},
		{"ByteStream.Read 64 MiB", "MB/s", some, rate(func() error { return rpc.readStream(one) }), nil},
	}, nil
}
