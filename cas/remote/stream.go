package remote

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
)

func (s *Store) name(middle string, d cas.Digest) string {
	name := middle + "blobs/" + d.String()
	if s.instance != "" {
		name = s.instance + "/" + name
	}
	return name
}

// upload sends a large blob. r is a Verifier: it holds the last bytes back unless all are right.
func (s *Store) upload(ctx context.Context, d cas.Digest, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the call wherever it stands
	stream, err := s.stream.Write(ctx)
	if err != nil {
		return fromStatus(ctx, err)
	}
	msg := &bytestream.WriteRequest{ResourceName: s.name("uploads/"+uuid.NewString()+"/", d)}
	for offset := int64(0); offset < d.Size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		buf := make([]byte, min(chunk, d.Size-offset))
		if _, err := io.ReadFull(r, buf); err != nil {
			return err
		}
		msg.WriteOffset, msg.Data = offset, buf
		offset += int64(len(buf))
		msg.FinishWrite = offset == d.Size
		if err := stream.Send(msg); err == io.EOF {
			break // the far side has an answer already
		} else if err != nil {
			return fromStatus(ctx, err)
		}
		msg = new(bytestream.WriteRequest)
	}
	resp, err := stream.CloseAndRecv()
	if err != nil {
		return fromStatus(ctx, err)
	}
	if resp.CommittedSize != d.Size {
		return fromStatus(ctx, status.Errorf(codes.Internal, "%d of %d bytes were committed", resp.CommittedSize, d.Size))
	}
	return nil
}

// download opens a large blob. The first message is awaited, so that an absent blob shows at once.
func (s *Store) download(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := s.stream.Read(ctx, &bytestream.ReadRequest{ResourceName: s.name("", d), ReadOffset: offset})
	if err != nil {
		defer cancel() // after fromStatus has looked at ctx
		return nil, fromStatus(ctx, err)
	}
	r := &receiver{ctx: ctx, cancel: cancel, stream: stream, left: d.Size - offset}
	if err := r.receive(); err != nil && err != io.EOF {
		cancel()
		return nil, err
	}
	if offset == 0 {
		return checked{cas.NewVerifier(d, r), r}, nil
	}
	return r, nil
}

// checked reads through a Verifier.
type checked struct {
	io.Reader
	io.Closer
}

// receiver reads the bytes of a Read call.
type receiver struct {
	ctx    context.Context
	cancel context.CancelFunc
	stream bytestream.ByteStream_ReadClient
	data   []byte
	left   int64
	err    error
}

func (r *receiver) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if err := r.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *receiver) receive() error {
	if r.err != nil {
		return r.err
	}
	m, err := r.stream.Recv()
	switch {
	case errors.Is(err, io.EOF) && r.left == 0:
		r.err = io.EOF
	case errors.Is(err, io.EOF):
		r.err = cas.ErrMismatch
	case err != nil:
		r.err = fromStatus(r.ctx, err)
	case int64(len(m.Data)) > r.left:
		r.err = cas.ErrMismatch
	default:
		r.data = m.Data
		r.left -= int64(len(m.Data))
	}
	return r.err
}

// Close ends the call.
func (r *receiver) Close() error {
	r.cancel()
	return nil
}

func newBytes(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
