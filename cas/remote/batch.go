package remote

import (
	"context"
	"fmt"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
)

const (
	flights  = 4    // batch calls under way at once
	maxBlobs = 1000 // blobs in one batch call
)

// batcher gathers small blobs while calls are under way, and sends what has gathered with the next one: a lone blob goes at
// once, many share calls.
type batcher struct {
	max  int64 // bytes of one batch
	send func(ctx context.Context, batch []*request)

	mu      sync.Mutex
	waiting []*request
	flying  int
}

// request is one blob of a batch. send sets data (of a read) and err; they may be read when done is closed.
type request struct {
	ctx    context.Context
	digest cas.Digest
	data   []byte
	err    error
	done   chan struct{}
}

// do sends one blob and waits for its answer. When ctx ends first, the blob may still be sent.
func (b *batcher) do(ctx context.Context, d cas.Digest, data []byte) ([]byte, error) {
	r := &request{ctx: ctx, digest: d, data: data, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, r)
	starts := b.flying < flights
	if starts {
		b.flying++
	}
	b.mu.Unlock()
	if starts {
		go b.run()
	}
	select {
	case <-r.done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run sends batches until nothing waits.
func (b *batcher) run() {
	for {
		batch := b.take()
		if len(batch) == 0 {
			return
		}
		ctx, cancel := whileWanted(batch)
		b.send(ctx, batch)
		cancel()
		for _, r := range batch {
			close(r.done)
		}
	}
}

// take removes the next batch from what waits; it ends the flight when there is none.
func (b *batcher) take() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(b.waiting) && n < maxBlobs && (n == 0 || size+b.waiting[n].digest.Size <= b.max) {
		size += b.waiting[n].digest.Size
		n++
	}
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if n == 0 {
		b.flying--
	}
	return batch
}

// whileWanted returns a context that ends when nobody waits for the batch any more.
func whileWanted(batch []*request) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(batch[0].ctx))
	var wanted sync.WaitGroup
	wanted.Add(len(batch))
	stops := make([]func() bool, len(batch))
	for i, r := range batch {
		stops[i] = context.AfterFunc(r.ctx, wanted.Done)
	}
	go func() {
		wanted.Wait()
		cancel()
	}()
	return ctx, func() {
		for _, stop := range stops {
			if stop() {
				wanted.Done()
			}
		}
		cancel()
	}
}

// update is the send of Put.
func (s *Store) update(ctx context.Context, batch []*request) {
	msg := &repb.BatchUpdateBlobsRequest{InstanceName: s.instance}
	for _, r := range batch {
		msg.Requests = append(msg.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: toProto(r.digest), Data: r.data})
	}
	resp, err := s.blobs.BatchUpdateBlobs(ctx, msg)
	answers := map[cas.Digest]error{}
	for _, a := range resp.GetResponses() {
		answers[fromProto(a.Digest)] = status.ErrorProto(a.Status)
	}
	settle(ctx, batch, err, func(r *request) error {
		answer, ok := answers[r.digest]
		if !ok {
			return unanswered(r)
		}
		return answer
	})
}

// read is the send of Get.
func (s *Store) read(ctx context.Context, batch []*request) {
	msg := &repb.BatchReadBlobsRequest{InstanceName: s.instance}
	for _, r := range batch {
		msg.Digests = append(msg.Digests, toProto(r.digest))
	}
	resp, err := s.blobs.BatchReadBlobs(ctx, msg)
	answers := map[cas.Digest]*repb.BatchReadBlobsResponse_Response{}
	for _, a := range resp.GetResponses() {
		answers[fromProto(a.Digest)] = a
	}
	settle(ctx, batch, err, func(r *request) error {
		a := answers[r.digest]
		if a == nil {
			return unanswered(r)
		}
		if err := status.ErrorProto(a.Status); err != nil {
			return err
		}
		if cas.Of(a.Data) != r.digest {
			return status.Error(codes.DataLoss, "the far side sent other bytes")
		}
		r.data = a.Data
		return nil
	})
}

func unanswered(r *request) error {
	return status.Errorf(codes.Internal, "no answer for %s in the batch", r.digest)
}

// settle gives each request of a batch its error: that of the call, or its own.
func settle(ctx context.Context, batch []*request, callErr error, own func(*request) error) {
	for _, r := range batch {
		err := callErr
		if err == nil {
			err = own(r)
		}
		if err != nil {
			r.err = fmt.Errorf("batch of %d: %w", len(batch), fromStatus(ctx, err))
		}
	}
}
