package reapi

import (
	"bytes"
	"context"
	"errors"
	"io"

	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
)

// chunk is how many bytes one message of a download carries.
const chunk = 256 << 10

func newBytes(b []byte) io.Reader { return bytes.NewReader(b) }

// Read implements ByteStream. The offset counts bytes of the blob, compressed or not.
func (s *Server) Read(r *bytestream.ReadRequest, stream bytestream.ByteStream_ReadServer) error {
	if err := s.allow(stream.Context(), cas.ReadCache); err != nil {
		return err
	}
	name, err := parseName(r.ResourceName, false)
	if err != nil {
		return err
	}
	d := name.digest
	if r.ReadLimit < 0 || r.ReadLimit > 0 && name.zstd {
		return status.Errorf(codes.InvalidArgument, "read limit %d: expected 0 or more, and of a compressed blob 0", r.ReadLimit)
	}
	if r.ReadOffset < 0 || r.ReadOffset > d.Size {
		return status.Errorf(codes.OutOfRange, "read offset %d: expected 0 to %d", r.ReadOffset, d.Size)
	}
	blob, err := s.store.Get(stream.Context(), d, r.ReadOffset)
	if err != nil {
		return toReadStatus(err)
	}
	defer blob.Close()
	if name.zstd {
		return s.sendCompressed(stream, blob)
	}
	left := d.Size - r.ReadOffset
	if r.ReadLimit > 0 {
		left = min(left, r.ReadLimit)
	}
	// A sent message may still be in use, so each has bytes of its own.
	for left > 0 {
		buf := make([]byte, min(left, chunk))
		n, err := io.ReadFull(blob, buf)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = cas.ErrMismatch
			}
			return toReadStatus(err)
		}
		if err := stream.Send(&bytestream.ReadResponse{Data: buf[:n]}); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func (s *Server) sendCompressed(stream bytestream.ByteStream_ReadServer, blob io.Reader) error {
	w := &sender{stream: stream}
	if err := s.codecs.encode(w, blob); err != nil {
		return toReadStatus(err)
	}
	return w.flush()
}

// sender sends what is written to it in messages of a good size.
type sender struct {
	stream bytestream.ByteStream_ReadServer
	buf    []byte
}

func (s *sender) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	if len(s.buf) < chunk {
		return len(p), nil
	}
	return len(p), s.flush()
}

func (s *sender) flush() error {
	for len(s.buf) > 0 {
		n := min(len(s.buf), chunk)
		if err := s.stream.Send(&bytestream.ReadResponse{Data: s.buf[:n:n]}); err != nil {
			return err
		}
		s.buf = s.buf[n:]
	}
	s.buf = nil // the message may still be in use
	return nil
}

// Write implements ByteStream. A blob that is there already ends the call at once. A stream that ends before finish_write leaves the
// upload to be gone on with, under its resource name, from where QueryWriteStatus says or earlier.
func (s *Server) Write(stream bytestream.ByteStream_WriteServer) error {
	ctx := stream.Context()
	if err := s.allow(ctx, cas.WriteBlobs); err != nil {
		return err
	}
	first, err := stream.Recv()
	if err == io.EOF {
		return status.Error(codes.InvalidArgument, "write without a message")
	} else if err != nil {
		return err
	}
	r, err := parseName(first.ResourceName, true)
	if err != nil {
		return err
	}
	if r.digest != cas.Empty {
		if there, err := s.present(ctx, r.digest); err != nil {
			return err
		} else if there {
			return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: r.whole()})
		}
	}
	open := s.uploads.find(first.ResourceName) != nil
	if first.WriteOffset == 0 && first.FinishWrite && !open { // the whole blob in one message
		if err := s.put(ctx, r, bytes.NewReader(first.Data)); err != nil {
			return toStatus(err)
		}
		return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: int64(len(first.Data))})
	}
	if first.WriteOffset != 0 && !open {
		return status.Errorf(codes.OutOfRange, "write offset %d: nothing of this blob is kept, begin at 0", first.WriteOffset)
	}
	up, err := s.uploads.begin(ctx, first.ResourceName, r, func(ctx context.Context, from io.Reader) error { return s.put(ctx, r, from) })
	if err != nil {
		return err
	}
	return s.receive(stream, up, first)
}

// receive feeds an upload from a stream and answers it.
func (s *Server) receive(stream bytestream.ByteStream_WriteServer, up *upload, m *bytestream.WriteRequest) error {
	ticket := up.hold()
	defer up.leave(ticket)
	for {
		if m.ResourceName != "" && m.ResourceName != up.name {
			return status.Error(codes.InvalidArgument, "the resource name changed within one upload")
		}
		decided, err := up.feed(ticket, m.WriteOffset, m.Data)
		if err != nil {
			return err
		}
		if m.FinishWrite {
			up.finish()
		}
		if decided || m.FinishWrite {
			return s.answer(stream, up, m.FinishWrite)
		}
		m, err = stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: up.committed()})
		} else if err != nil {
			return err
		}
	}
}

// answer says how an upload ended: with as many bytes as came, or with all at once when the blob came by another way.
func (s *Server) answer(stream bytestream.ByteStream_WriteServer, up *upload, finished bool) error {
	if err := up.result(stream.Context()); err != nil {
		return toStatus(err)
	}
	size := up.whole()
	if finished {
		size = up.committed()
	}
	return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: size})
}

// QueryWriteStatus implements ByteStream.
func (s *Server) QueryWriteStatus(ctx context.Context, r *bytestream.QueryWriteStatusRequest) (*bytestream.QueryWriteStatusResponse, error) {
	if err := s.allow(ctx, cas.WriteBlobs); err != nil {
		return nil, err
	}
	name, err := parseName(r.ResourceName, true)
	if err != nil {
		return nil, err
	}
	if up := s.uploads.find(r.ResourceName); up != nil {
		return &bytestream.QueryWriteStatusResponse{CommittedSize: up.committed()}, nil
	}
	there, err := s.present(ctx, name.digest)
	if err != nil {
		return nil, err
	}
	if !there {
		return &bytestream.QueryWriteStatusResponse{}, nil
	}
	return &bytestream.QueryWriteStatusResponse{CommittedSize: name.digest.Size, Complete: true}, nil
}
