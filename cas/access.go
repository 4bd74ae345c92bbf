package cas

import "context"

// Use is something that a client does with a cache.
type Use uint8

const (
	// ReadCache is to ask for blobs and for results of actions.
	ReadCache Use = iota
	// WriteBlobs is to put blobs. Their digests vouch for them.
	WriteBlobs
	// WriteActions is to say what an action comes to. Whoever may do that decides what others build: only trusted work does.
	WriteActions
)

// Access says whether the caller that ctx tells of may use a cache so: nil, or an error with its kind. A nil Access lets all do all.
type Access func(ctx context.Context, u Use) error

// Allow is a's answer.
func (a Access) Allow(ctx context.Context, u Use) error {
	if a == nil {
		return nil
	}
	return a(ctx, u)
}
