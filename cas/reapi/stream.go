package reapi

import (
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

// Read implements ByteStream.
func (s *Server) Read(r *bytestream.ReadRequest, stream bytestream.ByteStream_ReadServer) error {
	d, err := parseName(r.ResourceName, false)
	if err != nil {
		return err
	}
	if r.ReadLimit < 0 {
		return status.Errorf(codes.InvalidArgument, "read limit %d: expected 0 or more", r.ReadLimit)
	}
	if r.ReadOffset < 0 || r.ReadOffset > d.Size {
		return status.Errorf(codes.OutOfRange, "read offset %d: expected 0 to %d", r.ReadOffset, d.Size)
	}
	blob, err := s.store.Get(stream.Context(), d, r.ReadOffset)
	if err != nil {
		return toReadStatus(err)
	}
	defer blob.Close()
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

// Write implements ByteStream. A blob that is there already ends the call at once, with its size as what was committed.
func (s *Server) Write(stream bytestream.ByteStream_WriteServer) error {
	first, err := stream.Recv()
	if err != nil {
		if err == io.EOF {
			return status.Error(codes.InvalidArgument, "write without a message")
		}
		return err
	}
	d, err := parseName(first.ResourceName, true)
	if err != nil {
		return err
	}
	missing, err := s.store.Missing(stream.Context(), []cas.Digest{d})
	if err != nil {
		return toStatus(err)
	}
	if len(missing) == 0 && d != cas.Empty {
		return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: d.Size})
	}
	if first.WriteOffset != 0 {
		return status.Errorf(codes.OutOfRange, "write offset %d: nothing of this blob is kept, begin at 0", first.WriteOffset)
	}
	if err := s.store.Put(stream.Context(), d, &upload{stream: stream, name: first.ResourceName, next: first}); err != nil {
		return toStatus(err)
	}
	return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: d.Size})
}

// upload reads the bytes of a Write call.
type upload struct {
	stream bytestream.ByteStream_WriteServer
	name   string
	next   *bytestream.WriteRequest // received and not yet taken
	data   []byte
	offset int64
	done   bool
}

func (u *upload) Read(p []byte) (int, error) {
	for len(u.data) == 0 {
		if u.done {
			return 0, io.EOF
		}
		if err := u.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.data)
	u.data = u.data[n:]
	return n, nil
}

func (u *upload) receive() error {
	m := u.next
	u.next = nil
	if m == nil {
		var err error
		if m, err = u.stream.Recv(); err == io.EOF {
			return status.Error(codes.InvalidArgument, "the upload ended without finish_write")
		} else if err != nil {
			return err
		}
	}
	if m.ResourceName != "" && m.ResourceName != u.name {
		return status.Error(codes.InvalidArgument, "the resource name changed within one upload")
	}
	if m.WriteOffset != u.offset {
		return status.Errorf(codes.InvalidArgument, "write offset %d: expected %d", m.WriteOffset, u.offset)
	}
	u.data, u.done = m.Data, m.FinishWrite
	u.offset += int64(len(m.Data))
	return nil
}

// QueryWriteStatus implements ByteStream.
func (s *Server) QueryWriteStatus(ctx context.Context, r *bytestream.QueryWriteStatusRequest) (*bytestream.QueryWriteStatusResponse, error) {
	d, err := parseName(r.ResourceName, true)
	if err != nil {
		return nil, err
	}
	missing, err := s.store.Missing(ctx, []cas.Digest{d})
	if err != nil {
		return nil, toStatus(err)
	}
	if len(missing) > 0 {
		return &bytestream.QueryWriteStatusResponse{}, nil
	}
	return &bytestream.QueryWriteStatusResponse{CommittedSize: d.Size, Complete: true}, nil
}
