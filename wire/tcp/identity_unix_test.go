//go:build unix

package tcp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/tcp"
)

// checkIdentityFile: the key is for its user only, and a damaged file is not replaced behind the agents' backs.
func checkIdentityFile(t *testing.T, dir string) {
	path := filepath.Join(dir, "identity.pem")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tcp.Identity(dir); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if _, _, err := tcp.Identity(filepath.Join(dir, "missing")); err == nil {
		t.Error("an identity was made in a folder that is not there")
	}
}
