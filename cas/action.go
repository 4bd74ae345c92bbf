package cas

import (
	"context"
	"fmt"

	"github.com/outwork-build/outwork/internal/fault"
)

// ActionKey names an entry of an ActionCache. Space keeps apart those who must not see each other's entries: an instance name,
// or a kind of client. Key is the hash of an action, or whatever such a client calls its entries.
type ActionKey struct{ Space, Key string }

// MaxAction is the most bytes of an ActionCache's entry.
const MaxAction = 4 << 20

// ActionCache keeps what is known by a key and not by its own digest: the results of actions. It does not look into them;
// cas/action does. All methods may be called concurrently.
type ActionCache interface {
	// GetAction returns the entry that was put last, ErrNotFound when there is none.
	GetAction(ctx context.Context, k ActionKey) ([]byte, error)
	// PutAction keeps an entry in place of an earlier one. When it returns nil the entry survives a crash, if the cache is
	// durable at all. An empty one, and one above MaxAction bytes, is a fault.Invalid.
	PutAction(ctx context.Context, k ActionKey, value []byte) error
	// DeleteAction removes an entry. That there is none is no error.
	DeleteAction(ctx context.Context, k ActionKey) error
}

// CheckAction refuses an entry that no ActionCache takes.
func CheckAction(k ActionKey, value []byte) error {
	if len(value) == 0 || len(value) > MaxAction {
		return fault.New(fault.Invalid, "entry %q: %d bytes: expected 1 to %d", k.Key, len(value), MaxAction)
	}
	return nil
}

func mismatch(want, got Digest) error {
	return fmt.Errorf("blob %s: bytes are those of %s: %w", want, got, ErrMismatch)
}
