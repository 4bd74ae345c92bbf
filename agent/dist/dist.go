// Package dist hands out agent binaries: which file to put on a machine of some operating system and architecture.
//
// The binaries stand in a folder, as `make agents` leaves them there: outwork-agent-OS-ARCH, with .exe for Windows. For machines like
// this one the controller's own executable serves when the folder has nothing. All methods may be called concurrently.
package dist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/outwork-build/outwork/internal/fault"
)

const prefix = "outwork-agent-"

// Config of a Dist. At least one of its fields should be set, or nothing is ever found.
type Config struct {
	Folder string // of binaries; "" or a folder that is missing has none
	Self   string // this program, os.Executable(); it serves machines of its own kind. "" is not used
}

// Binary is a file that serves as an agent.
type Binary struct {
	Path   string // on this machine
	SHA256 string // lower-case hexadecimal
	Size   int64  // bytes
	Name   string // outwork-agent, outwork-agent.exe: what to call it on the machine
	OS     string // as Go names them: linux, windows, darwin
	Arch   string // amd64, arm64
	// Verb stands before an agent's flags: "agent" when the file is the whole of Outwork, "" when it is the small agent.
	Verb string
}

// Dist finds binaries.
type Dist struct {
	cfg Config

	mu   sync.Mutex
	sums map[string]sum // by path; guarded by mu
}

// sum is the digest of a file as it was.
type sum struct {
	size  int64
	mtime int64 // ns
	hex   string
}

// New returns a Dist. It reads nothing yet: binaries that come later are found.
func New(c Config) *Dist { return &Dist{cfg: c, sums: map[string]sum{}} }

// Open finds the binary for an operating system and an architecture, in Go's words. fault.NotFound says how to get one.
func (d *Dist) Open(goos, goarch string) (Binary, error) {
	if !word(goos) || !word(goarch) {
		return Binary{}, fault.New(fault.Invalid, "agent for %q/%q: expected an operating system and an architecture, like linux/amd64", goos, goarch)
	}
	b := Binary{OS: goos, Arch: goarch, Name: "outwork-agent" + ext(goos)}
	if d.cfg.Folder != "" {
		b.Path = filepath.Join(d.cfg.Folder, prefix+goos+"-"+goarch+ext(goos))
		err := d.measure(&b)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	if d.cfg.Self != "" && goos == runtime.GOOS && goarch == runtime.GOARCH {
		b.Path = d.cfg.Self
		if !strings.HasPrefix(filepath.Base(d.cfg.Self), "outwork-agent") {
			b.Verb = "agent"
		}
		return b, d.measure(&b)
	}
	return Binary{}, d.missing(goos, goarch)
}

func (d *Dist) missing(goos, goarch string) error {
	where := "a folder of agents, which is not set"
	if d.cfg.Folder != "" {
		where = d.cfg.Folder
	}
	var have []string
	for _, b := range d.List() {
		have = append(have, b.OS+"/"+b.Arch)
	}
	found := "there is none at all"
	if len(have) > 0 {
		found = "there are " + strings.Join(have, ", ")
	}
	return fault.New(fault.NotFound, "no agent for %s/%s: %s; expected %s%s-%s%s in %s: `make agents` builds the usual ones, `CGO_ENABLED=0 GOOS=%s GOARCH=%s go build ./cmd/outwork-agent` another",
		goos, goarch, found, prefix, goos, goarch, ext(goos), where, goos, goarch)
}

// List returns what Open would find, by operating system and architecture. Files that cannot be read are left out.
func (d *Dist) List() []Binary {
	kinds := map[[2]string]bool{}
	if d.cfg.Self != "" {
		kinds[[2]string{runtime.GOOS, runtime.GOARCH}] = true
	}
	for _, f := range d.files() {
		goos, goarch, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(f, prefix), ".exe"), "-")
		if ok && strings.HasPrefix(f, prefix) && word(goos) && word(goarch) && strings.HasSuffix(f, goarch+ext(goos)) {
			kinds[[2]string{goos, goarch}] = true
		}
	}
	var out []Binary
	for k := range kinds {
		if b, err := d.Open(k[0], k[1]); err == nil {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b Binary) int { return strings.Compare(a.OS+"/"+a.Arch, b.OS+"/"+b.Arch) })
	return out
}

func (d *Dist) files() []string {
	if d.cfg.Folder == "" {
		return nil
	}
	entries, err := os.ReadDir(d.cfg.Folder)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// measure fills in size and digest. A file is read again only when its size or its time has changed.
func (d *Dist) measure(b *Binary) error {
	f, err := os.Open(b.Path)
	if err != nil {
		return fault.New(fault.Internal, "agent for %s/%s: %w", b.OS, b.Arch, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fault.New(fault.Internal, "agent for %s/%s: %w", b.OS, b.Arch, err)
	}
	if !st.Mode().IsRegular() || st.Size() == 0 {
		return fault.New(fault.Invalid, "agent for %s/%s: %s is %d bytes of %s: expected a program", b.OS, b.Arch, b.Path, st.Size(), st.Mode())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.sums[b.Path]
	if known.hex == "" || known.size != st.Size() || known.mtime != st.ModTime().UnixNano() {
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return fault.New(fault.Internal, "agent for %s/%s: %w", b.OS, b.Arch, fmt.Errorf("read %s: %w", b.Path, err))
		}
		known = sum{st.Size(), st.ModTime().UnixNano(), hex.EncodeToString(h.Sum(nil))}
		d.sums[b.Path] = known
	}
	b.Size, b.SHA256 = known.size, known.hex
	return nil
}

func ext(goos string) string {
	if goos == "windows" {
		return ".exe"
	}
	return ""
}

// word keeps paths out of file names.
func word(s string) bool {
	return s != "" && len(s) <= 20 && !strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
}
