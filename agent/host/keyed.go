package host

import (
	"context"
	"sync"
)

// keyed is a lock for each key, for as long as somebody wants it. The zero value is ready.
type keyed struct {
	mu sync.Mutex
	m  map[string]*turn
}

type turn struct {
	free chan struct{} // holds a token while nobody has the lock
	want int
}

// lock waits for the key's lock or for the end of ctx. The caller calls unlock when err is nil.
func (k *keyed) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.m == nil {
		k.m = map[string]*turn{}
	}
	t := k.m[key]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		k.m[key] = t
	}
	t.want++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if t.want--; t.want == 0 {
			delete(k.m, key)
		}
	}
	select {
	case <-t.free:
		return func() { t.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
