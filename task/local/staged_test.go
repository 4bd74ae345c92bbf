package local

import (
	"testing"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
)

// What waits for its commit can be read like what is there.
func TestStagedBlobsAreAStore(t *testing.T) {
	castest.Run(t, func(*testing.T) cas.Store { return newStaged(memory.New(memory.Config{})) }, castest.Options{})
}

func TestACommitPutsWhatWaits(t *testing.T) {
	below := memory.New(memory.Config{})
	s := newStaged(below)
	d, err := cas.PutBytes(t.Context(), s, []byte("small"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1, 0, 0} {
		if missing, err := below.Missing(t.Context(), []cas.Digest{d}); err != nil || len(missing) != want {
			t.Errorf("the store misses %v, want %d, %v", missing, want, err)
		}
		if err := s.commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
