package reapi

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
)

const (
	uploadIdle = 2 * time.Minute // after which an upload without a stream is given up
	maxUploads = 1000            // under way, broken ones included
)

// uploads are the writes under way, by their resource names. One whose stream broke waits for the client to go on with it.
type uploads struct {
	mu   sync.Mutex
	open map[string]*upload
}

// upload is a blob that is being received: the store reads it from a pipe, across as many Write calls as it takes.
//
//	begun → fed by a stream ⇄ idle → finished, failed or given up
type upload struct {
	resource
	name   string
	pipe   *io.PipeWriter
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the store has decided
	err    error         // what it decided

	mu     sync.Mutex
	offset int64 // bytes received, as they travel
	holder int   // number of the stream that feeds it; a younger one takes over
	idle   *time.Timer
}

var errIdle = status.Error(codes.Aborted, "the upload was given up: nobody went on with it")

// find returns an upload that is under way.
func (u *uploads) find(name string) *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open[name]
}

// begin starts an upload, or joins the one of that name. put is what the store does with its bytes.
func (u *uploads) begin(ctx context.Context, name string, r resource, put func(context.Context, io.Reader) error) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up := u.open[name]; up != nil {
		return up, nil
	}
	if len(u.open) >= maxUploads {
		return nil, status.Errorf(codes.ResourceExhausted, "%d uploads are under way: try again later", maxUploads)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	pr, pw := io.Pipe()
	up := &upload{resource: r, name: name, pipe: pw, cancel: cancel, done: make(chan struct{})}
	up.idle = time.AfterFunc(uploadIdle, func() { up.giveUp(errIdle) })
	if u.open == nil {
		u.open = map[string]*upload{}
	}
	u.open[name] = up
	go func() {
		up.err = put(ctx, pr)
		pr.CloseWithError(errDecided)
		u.mu.Lock()
		delete(u.open, name)
		u.mu.Unlock()
		up.idle.Stop()
		cancel(nil)
		close(up.done)
	}()
	return up, nil
}

// errDecided is what a stream hears that feeds an upload which has an answer already.
var errDecided = errors.New("decided")

// giveUp ends an upload without a blob.
func (u *upload) giveUp(why error) {
	u.cancel(why)
	u.pipe.CloseWithError(why)
}

// close gives up all that is under way.
func (u *uploads) close() {
	u.mu.Lock()
	var all []*upload
	for _, up := range u.open {
		all = append(all, up)
	}
	u.mu.Unlock()
	for _, up := range all {
		up.giveUp(status.Error(codes.Unavailable, "the server stops"))
		<-up.done
	}
}

// hold makes the caller's stream the one that feeds the upload.
func (u *upload) hold() (ticket int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.holder++
	u.idle.Stop()
	return u.holder
}

// leave starts the time within which another stream must come.
func (u *upload) leave(ticket int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.holder == ticket {
		u.idle.Reset(uploadIdle)
	}
}

// committed is how many bytes were received.
func (u *upload) committed() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.offset
}

// feed takes the bytes of one message. What it has already it skips: the digest decides over all of it. decided says that no more is
// needed.
func (u *upload) feed(ticket int, offset int64, data []byte) (decided bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.holder != ticket {
		return false, status.Error(codes.Aborted, "another call goes on with this upload")
	}
	if offset < 0 || offset > u.offset {
		return false, status.Errorf(codes.InvalidArgument, "write offset %d: expected %d", offset, u.offset)
	}
	skip := min(u.offset-offset, int64(len(data)))
	n, err := u.pipe.Write(data[skip:])
	u.offset += int64(n)
	if err != nil && !errors.Is(err, errDecided) {
		return true, err
	}
	return err != nil, nil
}

// finish tells the store that these were all bytes.
func (u *upload) finish() { u.pipe.Close() }

// result waits for what the store decides.
func (u *upload) result(ctx context.Context) error {
	select {
	case <-u.done:
		return u.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// whole is the committed size of a blob that is there: its size, or for a compressed upload -1, as clients expect it.
func (r resource) whole() int64 {
	if r.zstd {
		return -1
	}
	return r.digest.Size
}

// put has the store keep what is read from an upload.
func (s *Server) put(ctx context.Context, r resource, from io.Reader) error {
	if !r.zstd {
		return s.store.Put(ctx, r.digest, from)
	}
	return s.codecs.decode(from, func(plain io.Reader) error { return s.store.Put(ctx, r.digest, plain) })
}

// present reports whether a blob is there, and protects it.
func (s *Server) present(ctx context.Context, d cas.Digest) (bool, error) {
	missing, err := s.store.Missing(ctx, []cas.Digest{d})
	return len(missing) == 0, toStatus(err)
}
