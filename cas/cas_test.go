package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestParseDigest(t *testing.T) {
	good := cas.Of([]byte("hello"))
	if d, err := cas.ParseDigest(good.String()); err != nil || d != good || good.Size != 5 {
		t.Errorf("%v %v", d, err)
	}
	h := strings.Repeat("a", 64)
	for _, s := range []string{"", "/", h, h + "/", h + "/-1", h + "/x", h + "/1/2", h[1:] + "/1", "A" + h[1:] + "/1", "../" + h[3:] + "/1", h + "a/1", h + "/99999999999999999999"} {
		if d, err := cas.ParseDigest(s); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v %v", s, d, err)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add(cas.Empty.String())
	f.Fuzz(func(t *testing.T, s string) {
		d, err := cas.ParseDigest(s)
		if err != nil {
			return
		}
		if again, err := cas.ParseDigest(d.String()); err != nil || again != d {
			t.Fatalf("%q reads as %v, which reads as %v (%v)", s, d, again, err)
		}
	})
}

func TestVerifier(t *testing.T) {
	for _, n := range []int{0, 1, 5, 1000, 70_000} {
		b := bytes.Repeat([]byte("x"), n)
		for name, r := range map[string]io.Reader{
			"plain": bytes.NewReader(b), "byte by byte": iotest.OneByteReader(bytes.NewReader(b)), "end with data": iotest.DataErrReader(bytes.NewReader(b)),
		} {
			got, err := io.ReadAll(cas.NewVerifier(cas.Of(b), r))
			if err != nil || !bytes.Equal(got, b) {
				t.Errorf("%d bytes, %s: %d came, %v", n, name, len(got), err)
			}
			// A reader of 7 bytes at a time never has the last piece of a blob that is wrong.
			wrong := append(bytes.Clone(b), 'y')
			for _, bad := range [][]byte{wrong, wrong[1:], b[:max(0, n-1)]} {
				if bytes.Equal(bad, b) {
					continue
				}
				v, given := cas.NewVerifier(cas.Of(b), bytes.NewReader(bad)), 0
				for err = nil; err == nil; {
					var k int
					k, err = v.Read(make([]byte, 7))
					given += k
				}
				if !errors.Is(err, cas.ErrMismatch) || given >= n && n > 0 {
					t.Errorf("%d bytes, wrong ones: %d were passed on, %v", n, given, err)
				}
			}
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(cas.NewVerifier(cas.Of([]byte("xy")), io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)))); !errors.Is(err, broken) {
		t.Errorf("the reader's own error: %v", err)
	}
}

func TestUntilDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := cas.UntilDone(ctx, strings.NewReader("abc"))
	if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	why := errors.New("enough")
	cancel(why)
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, why) {
		t.Fatal(n, err)
	}
}
