package host

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/outwork-build/outwork/internal/fault"
)

// tmpSuffix ends the name of the folder beside a workspace that is the lease's own.
const tmpSuffix = "@tmp"

// maxSuffix bounds @N: more concurrent uses of one workspace than leases cannot be.
const maxSuffix = 10_000

// wanted is the path a request asks for, before a suffix.
func (h *Host) wanted(job, custom string) (string, error) {
	if custom == "" {
		return filepath.Join(h.cfg.Root, "workspace", jobFolder(job)), nil
	}
	path := filepath.FromSlash(custom)
	if strings.ContainsRune(path, 0) {
		return "", fault.New(fault.Invalid, "workspace %q: a path cannot hold a NUL byte", custom)
	}
	if !filepath.IsAbs(path) {
		if !filepath.IsLocal(path) {
			return "", fault.New(fault.Invalid, "workspace %q leads out of the agent's folder %s: give an absolute path if that is meant", custom, h.cfg.Root)
		}
		path = filepath.Join(h.cfg.Root, path)
	}
	path = filepath.Clean(path)
	if within(path, h.cfg.Root) || within(h.own(), path) {
		return "", fault.New(fault.Invalid, "workspace %q holds the agent's own folder %s: choose a folder of its own", custom, h.own())
	}
	return path, nil
}

// within reports whether path is dir or below it, by name.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// place finds the lowest free path for a lease and takes it. A path is busy while another lease works in it or below it.
// (A lease above it makes no difference: another suffix would be below that too.) Call it with h.mu held.
func (h *Host) place(base string, l *lease) (string, error) {
	for n := 1; n <= maxSuffix; n++ {
		path := base
		if n > 1 {
			path += "@" + strconv.Itoa(n)
		}
		if !h.busy(path) {
			h.places[path] = l
			return path, nil
		}
	}
	return "", fault.New(fault.Exhausted, "workspace %s: all of its %d names are in use", base, maxSuffix)
}

func (h *Host) busy(path string) bool {
	for used := range h.places {
		if within(path, used) || within(path+tmpSuffix, used) || used+tmpSuffix == path {
			return true
		}
	}
	return false
}

// jobFolder makes a relative path of a job's name: its slashes are folders, as in Jenkins. A segment that no system could
// keep as it is gets a hash, so that two names never share a folder.
func jobFolder(job string) string {
	segments := strings.Split(job, "/")
	for i, s := range segments {
		segments[i] = safeName(s)
	}
	return filepath.Join(segments...)
}

const maxName = 100 // bytes; leaves room for suffixes below every system's 255

func safeName(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) || !unicode.IsPrint(r) || strings.ContainsRune(`<>:"|?*\/@%`, r) {
			r = '_'
		}
		b.WriteRune(r)
	}
	name := strings.TrimRight(strings.TrimLeft(b.String(), " "), ". ")
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	if strings.HasPrefix(name, ".") {
		name = "_" + name[1:]
	}
	if name == s && s != "" && !reservedName(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// reservedName reports the names that Windows keeps for devices.
func reservedName(s string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(s), ".")
	switch base {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) && base[3] >= '0' && base[3] <= '9'
}

// removeAll removes a tree, folders without write permission in it too (module caches make such).
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}
