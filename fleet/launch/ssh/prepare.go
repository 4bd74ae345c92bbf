package ssh

import (
	"context"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/agent/dist"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// place is what there is on the machine where the agent goes.
type place struct {
	root    string // the agent's folder, in the shell's words
	native  string // the same in the words of the machine's programs: C:\… under Cygwin
	path    string // of the binary
	current bool   // the right binary is there
	size    int64  // of the binary that is there; 0 is none
	free    int64  // bytes that the file system of path has left; -1 is unknown
	write   bool   // we may write where the binary goes
}

// look is sh that says what is there. DIR is the nearest folder above the binary that exists.
const look = `A=%AGENT%; D="${A%/*}"; while [ ! -d "$D" ] && [ -n "$D" ]; do D="${D%/*}"; done; D="${D:-/}"; echo dir="$D"; ` +
	`[ -w "$D" ] && echo write=yes; ` +
	`if [ -f "$A" ]; then echo size="$(wc -c < "$A")"; echo stamp="$(cat "$A.sha256" 2>/dev/null)"; ` +
	`echo sum="$( (sha256sum < "$A" || shasum -a 256 < "$A" || sha256 -q < "$A" || openssl dgst -sha256 < "$A") 2>/dev/null)"; fi; ` +
	`echo free="$(df -Pk "$D" 2>/dev/null | tail -n 1)"`

// prepare makes the folders and looks at what is in them.
func (m *machine) prepare(ctx context.Context, b dist.Binary) (place, error) {
	if m.platform.shell != posix {
		return m.prepareWindows(b), nil
	}
	p := m.where(b)
	folders := "mkdir -p " + quote(p.root)
	if m.s.copy {
		folders += " " + quote(path.Dir(p.path))
	}
	said, r, err := m.script(ctx, "("+folders+" && cd "+quote(p.root)+" && echo root=\"$(pwd)\" && if command -v cygpath >/dev/null; then echo native=\"$(cygpath -w \"$(pwd)\")\"; fi) && "+m.looking(p))
	if err != nil {
		return p, err
	}
	if said["root"] == "" {
		return p, m.noFolder(p, r)
	}
	p.root, p.native = said["root"], said["root"]
	if said["native"] != "" {
		p.native = said["native"]
	}
	return p.found(said, b), nil
}

// where is the place as the settings have it.
func (m *machine) where(b dist.Binary) place {
	return place{root: m.root(), native: m.root(), path: m.agentPath(b.Name), free: -1}
}

func (m *machine) looking(p place) string { return strings.Replace(look, "%AGENT%", quote(p.path), 1) }

var hexSum = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// found reads what looking said. Without a program that knows SHA-256 there, our stamp beside the binary counts, when the size fits too.
func (p place) found(said map[string]string, b dist.Binary) place {
	p.write = said["write"] == "yes"
	p.size, _ = strconv.ParseInt(said["size"], 10, 64)
	sum := hexSum.FindString(said["sum"])
	if sum == "" {
		sum = hexSum.FindString(said["stamp"])
	}
	p.current = sum != "" && sum == b.SHA256 && p.size == b.Size
	p.free = free(said["free"])
	return p
}

// free reads a line of df: the number before the percentage is what is left, in KiB. Names before and after may have blanks.
func free(line string) int64 {
	words := strings.Fields(line)
	for i := len(words) - 1; i > 0; i-- {
		if strings.HasSuffix(words[i], "%") {
			if kb, err := strconv.ParseInt(words[i-1], 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return -1
}

func (m *machine) noFolder(p place, r reply) error {
	kind, hint := fault.Unavailable, "check the node's remote root"
	switch {
	case strings.Contains(r.err, "No space left"):
		kind, hint = fault.Exhausted, "free space there, or set the node's remote root to another disk"
	case strings.Contains(r.err, "Read-only"), strings.Contains(r.err, "denied"):
		kind, hint = fault.Denied, "let user "+m.s.target().user+" write there, or set the node's remote root to a folder of its own"
	}
	return kit.Trouble(kind, hint, "make the agent's folder %s on %s: %s", p.root, m.way.target, orText(r.err, "the shell did not say why"))
}

func orText(s, or string) string {
	if s == "" {
		return or
	}
	return s
}
