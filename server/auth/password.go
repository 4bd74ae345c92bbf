package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/outwork-build/outwork/internal/fault"
)

// argon are the parameters of new hashes: RFC 9106's second recommended option.
type argon struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

var recommended = argon{memory: 64 << 10, time: 3, threads: 4}

const (
	saltBytes = 16
	keyBytes  = 32
)

var b64 = base64.RawStdEncoding

// hash returns the PHC string of a password.
func (a argon) hash(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return a.phc(salt, argon2.IDKey([]byte(password), salt, a.time, a.memory, a.threads, keyBytes))
}

func (a argon) phc(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// decoy is a PHC string that costs as much to compare with as any, and nothing to make: random bits for a key.
func (a argon) decoy() string {
	b := make([]byte, saltBytes+keyBytes)
	rand.Read(b)
	return a.phc(b[:saltBytes], b[saltBytes:])
}

// matches compares a password with a PHC string, in constant time for the key.
func matches(phc, password string) (bool, error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("password hash of an unknown kind")
	}
	var v int
	var a argon
	if _, err := fmt.Sscanf(parts[2], "v=%d", &v); err != nil || v != argon2.Version {
		return false, fmt.Errorf("password hash of version %q", parts[2])
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads); err != nil {
		return false, fmt.Errorf("password hash parameters: %w", err)
	}
	if a.memory > 1<<20 || a.time > 100 || a.time == 0 || a.threads == 0 {
		return false, fmt.Errorf("password hash parameters %q are out of range", parts[3])
	}
	salt, err := b64.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("password hash salt: %w", err)
	}
	want, err := b64.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false, fmt.Errorf("password hash key is damaged")
	}
	got := argon2.IDKey([]byte(password), salt, a.time, a.memory, a.threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// CheckPassword refuses passwords that are too short to keep.
func CheckPassword(p string) error {
	if len(p) < 8 {
		return fault.New(fault.Invalid, "password: expected at least 8 characters, found %d", len(p))
	}
	if len(p) > 1000 {
		return fault.New(fault.Invalid, "password: longer than 1000 bytes")
	}
	return nil
}
