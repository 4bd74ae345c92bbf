package reapi

import (
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
)

// maxWindow bounds the memory of one decoder: clients use a few MiB at their usual levels.
const maxWindow = 32 << 20

// codecs keeps coders for the next call: making one costs more than a small blob.
type codecs struct{ encoders, decoders sync.Pool }

// decode calls use with a reader of what r decompresses to. Bytes that are no zstd are cas.ErrMismatch.
func (c *codecs) decode(r io.Reader, use func(io.Reader) error) error {
	d, _ := c.decoders.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		if d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
			return err
		}
	}
	source := &cas.Source{R: r}
	if err := d.Reset(source); err != nil {
		return err
	}
	err := use(decoded{d, source})
	if d.Reset(nil) == nil {
		c.decoders.Put(d)
	}
	return err
}

// decoded tells what the source says from what the decoder says.
type decoded struct {
	d      *zstd.Decoder
	source *cas.Source
}

func (d decoded) Read(p []byte) (int, error) {
	n, err := d.d.Read(p)
	if err != nil && err != io.EOF {
		if d.source.Err != nil {
			return n, d.source.Err
		}
		return n, errors.Join(cas.ErrMismatch, err)
	}
	return n, err
}

// encode copies r to w, compressed.
func (c *codecs) encode(w io.Writer, r io.Reader) error {
	e, _ := c.encoders.Get().(*zstd.Encoder)
	if e == nil {
		var err error
		if e, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20)); err != nil {
			return err
		}
	}
	e.Reset(w)
	_, err := io.CopyBuffer(struct{ io.Writer }{e}, struct{ io.Reader }{r}, make([]byte, 128<<10))
	if cerr := e.Close(); err == nil {
		err = cerr
	}
	e.Reset(nil)
	c.encoders.Put(e)
	return err
}

// all decompresses a small blob that must be d's.
func (c *codecs) all(d cas.Digest, data []byte) ([]byte, error) {
	out := make([]byte, d.Size)
	err := c.decode(newBytes(data), func(r io.Reader) error {
		v := cas.NewVerifier(d, r)
		if _, err := io.ReadFull(v, out); err != nil && err != io.EOF {
			return err
		}
		if _, err := v.Read(make([]byte, 1)); err != io.EOF {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return out, nil
}
