package ssh

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	xssh "golang.org/x/crypto/ssh"

	"github.com/outwork-build/outwork/internal/fault"
)

const ppkMagic = "PuTTY-User-Key-File-"

// ppk is a key file of PuTTY, taken apart (PuTTY manual, appendix C).
type ppk struct {
	version int
	kind    string            // ssh-ed25519, ssh-rsa, ecdsa-sha2-…
	fields  map[string]string // the other headers
	public  []byte
	private []byte // as in the file: perhaps encrypted
}

var errPPK = errors.New("the file is damaged")

// parsePPK reads a PuTTY key. S1-21.
func parsePPK(text, passphrase []byte) (xssh.Signer, error) {
	signer, err := func() (xssh.Signer, error) {
		k, err := scanPPK(text)
		if err != nil {
			return nil, err
		}
		if err := k.open(passphrase); err != nil {
			return nil, err
		}
		return k.signer()
	}()
	if err != nil {
		return nil, fault.New(fault.Invalid, "PuTTY key: %w", err)
	}
	return signer, nil
}

func scanPPK(text []byte) (*ppk, error) {
	k := &ppk{fields: map[string]string{}}
	sc := bufio.NewScanner(bytes.NewReader(text))
	for sc.Scan() {
		name, value, ok := strings.Cut(sc.Text(), ":")
		if !ok {
			if strings.TrimSpace(sc.Text()) == "" {
				continue
			}
			return nil, errPPK
		}
		value = strings.TrimPrefix(value, " ")
		if v, ok := strings.CutPrefix(name, ppkMagic); ok {
			k.version, _ = strconv.Atoi(v)
			k.kind = value
			continue
		}
		k.fields[name] = value
		var err error
		switch name {
		case "Public-Lines":
			k.public, err = scanBlob(sc, value)
		case "Private-Lines":
			k.private, err = scanBlob(sc, value)
		}
		if err != nil {
			return nil, err
		}
	}
	if k.version != 2 && k.version != 3 {
		return nil, fmt.Errorf("version %d: expected 2 or 3", k.version)
	}
	if k.public == nil || k.private == nil {
		return nil, errPPK
	}
	return k, sc.Err()
}

func scanBlob(sc *bufio.Scanner, count string) ([]byte, error) {
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 10_000 {
		return nil, errPPK
	}
	var b strings.Builder
	for ; n > 0 && sc.Scan(); n-- {
		b.WriteString(strings.TrimSpace(sc.Text()))
	}
	blob, err := base64.StdEncoding.DecodeString(b.String())
	if err != nil || n > 0 {
		return nil, errPPK
	}
	return blob, nil
}

// open decrypts the private part and checks the file's seal.
func (k *ppk) open(passphrase []byte) error {
	encrypted := k.fields["Encryption"] != "none"
	if encrypted && k.fields["Encryption"] != "aes256-cbc" {
		return fmt.Errorf("encryption %q: expected none or aes256-cbc", k.fields["Encryption"])
	}
	if encrypted && len(passphrase) == 0 {
		return errors.New("the key is encrypted: set passphrase")
	}
	if !encrypted {
		passphrase = nil
	}
	key, iv, seal, err := k.derive(passphrase, encrypted)
	if err != nil {
		return err
	}
	if encrypted {
		if len(k.private)%aes.BlockSize != 0 {
			return errPPK
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(k.private, k.private)
	}
	for _, part := range [][]byte{[]byte(k.kind), []byte(k.fields["Encryption"]), []byte(k.fields["Comment"]), k.public, k.private} {
		seal.Write(xssh.Marshal(struct{ B []byte }{part}))
	}
	want, err := hex.DecodeString(k.fields["Private-MAC"])
	switch {
	case err == nil && hmac.Equal(want, seal.Sum(nil)):
		return nil
	case encrypted:
		return errors.New("the passphrase is wrong, or the file is damaged")
	}
	return errPPK
}

// derive makes of the passphrase what the private part and the seal are made with.
func (k *ppk) derive(passphrase []byte, encrypted bool) (key, iv []byte, seal hash.Hash, err error) {
	if k.version == 2 {
		h := sha1.Sum(append([]byte("putty-private-key-file-mac-key"), passphrase...))
		seal = hmac.New(sha1.New, h[:])
		for i := range byte(2) {
			h := sha1.Sum(append([]byte{0, 0, 0, i}, passphrase...))
			key = append(key, h[:]...)
		}
		return key[:32], make([]byte, aes.BlockSize), seal, nil
	}
	if !encrypted {
		return nil, nil, hmac.New(sha256.New, nil), nil
	}
	// PuTTY takes 8 MiB and as many passes as fit into 100 ms; a file that asks for a thousand times that is no key.
	memory, err1 := strconv.ParseUint(k.fields["Argon2-Memory"], 10, 32)
	passes, err2 := strconv.ParseUint(k.fields["Argon2-Passes"], 10, 32)
	threads, err3 := strconv.ParseUint(k.fields["Argon2-Parallelism"], 10, 8)
	salt, err4 := hex.DecodeString(k.fields["Argon2-Salt"])
	if errors.Join(err1, err2, err3, err4) != nil || passes < 1 || threads < 1 || memory > 1<<20 || passes > 1<<22 || passes*max(memory, 8) > 1<<22 {
		return nil, nil, nil, errPPK
	}
	var out []byte
	switch kdf := k.fields["Key-Derivation"]; kdf {
	case "Argon2id":
		out = argon2.IDKey(passphrase, salt, uint32(passes), uint32(memory), uint8(threads), 80)
	case "Argon2i":
		out = argon2.Key(passphrase, salt, uint32(passes), uint32(memory), uint8(threads), 80)
	default:
		return nil, nil, nil, fmt.Errorf("key derivation %q: expected Argon2id or Argon2i; `puttygen KEY -o KEY --ppk-param kdf=argon2id` converts it", kdf)
	}
	return out[:32], out[32:48], hmac.New(sha256.New, out[48:]), nil
}

// signer makes a key of the opened parts and compares it with the public one.
func (k *ppk) signer() (xssh.Signer, error) {
	raw, err := k.raw()
	if err != nil {
		return nil, err
	}
	s, err := xssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(s.PublicKey().Marshal(), k.public) {
		return nil, errPPK
	}
	return s, nil
}

func (k *ppk) raw() (any, error) {
	switch {
	case k.kind == "ssh-ed25519":
		var priv struct {
			Seed []byte
			Rest []byte `ssh:"rest"`
		}
		if err := xssh.Unmarshal(k.private, &priv); err != nil || len(priv.Seed) > ed25519.SeedSize {
			return nil, errPPK
		}
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, priv.Seed)
		return ed25519.NewKeyFromSeed(seed), nil
	case k.kind == "ssh-rsa":
		return k.rsa()
	case strings.HasPrefix(k.kind, "ecdsa-sha2-"):
		return k.ecdsa()
	}
	return nil, fmt.Errorf("keys of type %q are not supported: expected ssh-ed25519, ssh-rsa or ecdsa-sha2", k.kind)
}

func (k *ppk) rsa() (any, error) {
	var pub struct {
		Kind string
		E, N *big.Int
	}
	var priv struct {
		D, P, Q, Inverse *big.Int
		Rest             []byte `ssh:"rest"`
	}
	if xssh.Unmarshal(k.public, &pub) != nil || xssh.Unmarshal(k.private, &priv) != nil || !pub.E.IsInt64() {
		return nil, errPPK
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: pub.N, E: int(pub.E.Int64())}, D: priv.D, Primes: []*big.Int{priv.P, priv.Q}}
	if err := key.Validate(); err != nil {
		return nil, errPPK
	}
	key.Precompute()
	return key, nil
}

func (k *ppk) ecdsa() (any, error) {
	curve := map[string]elliptic.Curve{"nistp256": elliptic.P256(), "nistp384": elliptic.P384(), "nistp521": elliptic.P521()}[strings.TrimPrefix(k.kind, "ecdsa-sha2-")]
	var priv struct {
		D    *big.Int
		Rest []byte `ssh:"rest"`
	}
	if curve == nil || xssh.Unmarshal(k.private, &priv) != nil || priv.D.Sign() < 0 || priv.D.BitLen() > curve.Params().BitSize {
		return nil, errPPK
	}
	d := make([]byte, (curve.Params().BitSize+7)/8)
	key, err := ecdsa.ParseRawPrivateKey(curve, priv.D.FillBytes(d))
	if err != nil {
		return nil, errPPK
	}
	return key, nil
}
