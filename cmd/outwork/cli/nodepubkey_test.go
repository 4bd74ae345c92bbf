package cli

import (
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/server/servertest"
)

// S1-57, S1-89: the lines that let the controller in and no more than that, for a node, its jump host, and a key alone.
func TestPubkey(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("horse"))
	if err != nil {
		t.Fatal(err)
	}
	key, pass := filepath.Join(t.TempDir(), "id"), filepath.Join(t.TempDir(), "pass")
	for file, text := range map[string][]byte{key: pem.EncodeToMemory(block), pass: []byte("horse\n")} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p))) + " outwork\n"

	f := servertest.New(t, "linux")
	s, _ := nodeShell(t, f)
	s.ok("Made node twin", "node", "copy", "n1", "twin", "--launcher", "ssh", "--launcher-config", "host=build1", "--launcher-config", "user=ci", "--launcher-config", "jump=ops@bastion:2222",
		"--launcher-config", "key=file:"+key, "--launcher-config", "passphrase=file:"+pass)
	code, out, errw := s.try("", "node", "pubkey", "twin")
	if want := "restrict,port-forwarding " + line + "restrict " + line; code != exitOK || out != want {
		t.Errorf("%d\n%s\nwant\n%s", code, out, want)
	}
	if want := "For ~ops/.ssh/authorized_keys of jump 1 bastion:2222:\nFor ~ci/.ssh/authorized_keys of build1:22:\n"; errw != want {
		t.Errorf("%q", errw)
	}
	if out := s.ok("", "node", "pubkey", "--key", key, "--passphrase", "file:"+pass, "--from", "10.0.0.5,10.0.0.6"); out != `from="10.0.0.5,10.0.0.6",restrict `+line {
		t.Errorf("%q", out)
	}
	s.json("node", "pubkey", "twin")
	s.fails(exitUsage, "encrypted", "node", "pubkey", "--key", key)
	s.fails(exitConflict, "logs in nowhere with launcher local", "node", "pubkey", "n1")
	s.fails(exitUsage, "or --key", "node", "pubkey")
	s.fails(exitUsage, "--from", "node", "pubkey", "n1", "--from", `a"b`)
	s.fails(exitNotFound, "nobody", "node", "pubkey", "nobody")
}
