package ssh

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
)

// Ways to know a host.
const (
	knownHostsFile = "known-hosts"
	pinned         = "pinned"
	firstUse       = "first-use"
	noCheck        = "none"
)

// HostKey is what first-use remembers of a host.
type HostKey struct {
	Address     string    `json:"address"`     // host:port
	Key         string    `json:"key"`         // "ssh-ed25519 AAAA…"
	Fingerprint string    `json:"fingerprint"` // "SHA256:…"
	Approved    bool      `json:"approved"`    // the host is let in with it
	Seen        time.Time `json:"seen"`        // first
	Other       *OtherKey `json:"other,omitempty"`
}

// OtherKey is another key that a host has shown since one was approved. It is not let in with it.
type OtherKey struct {
	Key         string    `json:"key"`
	Fingerprint string    `json:"fingerprint"`
	Seen        time.Time `json:"seen"` // first
}

// HostKeys keeps what was seen at first use. Its methods may be called concurrently.
type HostKeys interface {
	HostKey(ctx context.Context, address string) (HostKey, error) // fault.NotFound
	PutHostKey(ctx context.Context, k HostKey) error              // in place of another of that address
}

// Approve lets a host in with the key that awaits approval: one seen first, or another than was approved before. The fingerprint must be
// that key's: fault.Conflict when it is not, for the host has shown another key since. fault.NotFound when the host was never seen.
func Approve(ctx context.Context, keys HostKeys, address, fingerprint string) error {
	k, err := keys.HostKey(ctx, address)
	if err != nil {
		return err
	}
	if o := k.Other; o != nil && o.Fingerprint == fingerprint {
		k.Key, k.Fingerprint, k.Seen = o.Key, o.Fingerprint, o.Seen
	}
	if k.Fingerprint != fingerprint {
		return fault.New(fault.Conflict, "host key of %s: %s awaits approval, not %s", address, k.awaiting().Fingerprint, fingerprint)
	}
	k.Approved, k.Other = true, nil
	return keys.PutHostKey(ctx, k)
}

// awaiting is the key that was shown last.
func (k HostKey) awaiting() OtherKey {
	if k.Other != nil {
		return *k.Other
	}
	return OtherKey{Key: k.Key, Fingerprint: k.Fingerprint, Seen: k.Seen}
}

// judge decides on one hop's host key.
type judge struct {
	l    *Launcher
	ctx  context.Context // of the one connection that the judge is made for
	node fleet.NodeName
	hop  hop
	log  *kit.Log

	algorithms []string // to ask for, the best first
	check      func(address string, remote net.Addr, key xssh.PublicKey) (how string, err error)
	err        error  // why the key was refused
	text       string // what was found
	known      bool   // the key was taken
}

// newJudge reads what is known of the host.
func (l *Launcher) newJudge(ctx context.Context, n fleet.NodeName, h hop, log *kit.Log) (*judge, error) {
	j := &judge{l: l, ctx: ctx, node: n, hop: h, log: log, algorithms: preferred(nil)}
	switch h.hostKey {
	case knownHostsFile:
		return j, j.byFile()
	case pinned:
		return j, j.byPin()
	case firstUse:
		return j, j.byFirstUse()
	}
	j.check = j.anyKey
	return j, nil
}

// callback is for xssh.ClientConfig.
func (j *judge) callback(address string, remote net.Addr, key xssh.PublicKey) error {
	how, err := j.check(address, remote, key)
	j.err = err
	if err == nil {
		j.known = true
		j.text = fmt.Sprintf("%s %s (%s)", key.Type(), xssh.FingerprintSHA256(key), how)
		j.log.Printf("Host key of %s: %s", j.hop.address(), j.text)
	}
	return err
}

// anyKey takes every key, and says so loudly.
func (j *judge) anyKey(_ string, _ net.Addr, key xssh.PublicKey) (string, error) {
	j.l.cfg.Log.Warn("host key not checked (hostKey=none): anybody between here and there could read and change all", "node", j.node, "host", j.hop.address())
	j.log.Printf("WARNING: the host key of %s is NOT CHECKED (hostKey=none): anybody in between could read and change all that is sent", j.hop.address())
	return "NOT CHECKED", nil
}

// byFile looks into a known_hosts file.
func (j *judge) byFile() error {
	file := j.hop.knownHosts
	var look xssh.HostKeyCallback
	lines, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		look = func(string, net.Addr, xssh.PublicKey) error { return &knownhosts.KeyError{} }
	case err != nil:
		return fault.New(fault.Invalid, "known hosts: %w", err)
	default:
		if look, err = knownhosts.New(file); err != nil {
			return fault.New(fault.Invalid, "known hosts: %w", err)
		}
	}
	j.algorithms = preferred(j.knownTypes(look, bytes.Split(lines, []byte("\n"))))
	j.check = func(address string, remote net.Addr, key xssh.PublicKey) (string, error) {
		err := look(address, remote, key)
		if err == nil {
			return "in " + file, nil
		}
		return "", j.unknown(err, key)
	}
	return nil
}

// knownTypes lists the types of the keys that a file has for the hop; a certificate's when it has an authority for it.
func (j *judge) knownTypes(look xssh.HostKeyCallback, lines [][]byte) (types []string) {
	var e *knownhosts.KeyError
	if !errors.As(look(j.hop.address(), &net.TCPAddr{}, nobody{}), &e) {
		return nil
	}
	for _, k := range e.Want {
		if k.Line <= len(lines) && bytes.HasPrefix(bytes.TrimSpace(lines[k.Line-1]), []byte("@cert-authority")) {
			types = append(types, certificates)
		} else {
			types = append(types, k.Key.Type())
		}
	}
	return types
}

// nobody is a key that no file has.
type nobody struct{}

func (nobody) Type() string                         { return "none" }
func (nobody) Marshal() []byte                      { return nil }
func (nobody) Verify([]byte, *xssh.Signature) error { return errors.New("nobody signs") }

// unknown explains a key that a file does not have.
func (j *judge) unknown(err error, key xssh.PublicKey) error {
	file, address, finger := j.hop.knownHosts, j.hop.address(), xssh.FingerprintSHA256(key)
	var e *knownhosts.KeyError
	if !errors.As(err, &e) {
		return kit.Trouble(fault.Denied, "look at its line in "+file, "host key of %s refused: %s %s: %w", j.hop.who(), key.Type(), finger, err)
	}
	if len(e.Want) == 0 {
		return kit.Trouble(fault.Denied,
			fmt.Sprintf("compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` says on the machine, then add this line to %s:\n  %s", short(key), file, knownhosts.Line([]string{address}, key)),
			"host key of %s is not known: it shows %s %s, and %s has no line for %s", j.hop.who(), key.Type(), finger, file, knownhosts.Normalize(address))
	}
	k := e.Want[0]
	for _, w := range e.Want {
		if w.Key.Type() == key.Type() {
			k = w
		}
	}
	return j.changed(key, k.Key.Type()+" "+xssh.FingerprintSHA256(k.Key), fmt.Sprintf("%s:%d", k.Filename, k.Line),
		fmt.Sprintf("remove the old key with `ssh-keygen -R '%s' -f %s` and add the new one", knownhosts.Normalize(address), k.Filename))
}

// changed is the text that must frighten.
func (j *judge) changed(key xssh.PublicKey, old, where, what string) error {
	return kit.Trouble(fault.Denied,
		"if nobody has installed that machine anew, somebody may be in between: do not go on. If somebody has: "+what,
		"the HOST KEY of %s HAS CHANGED: %s says %s, the machine shows %s %s", j.hop.who(), where, old, key.Type(), xssh.FingerprintSHA256(key))
}

// byPin compares with what the settings say.
func (j *judge) byPin() error {
	pins, err := parsePins(j.hop.pinned)
	if err != nil {
		return fault.New(fault.Invalid, "pinnedKey: %w", err)
	}
	var types []string
	for _, p := range pins {
		if p.key != nil {
			types = append(types, p.key.Type())
		}
	}
	j.algorithms = preferred(types)
	j.check = func(_ string, _ net.Addr, key xssh.PublicKey) (string, error) {
		for _, p := range pins {
			if p.matches(key) {
				return "pinned", nil
			}
		}
		return "", j.changed(key, strings.Join(list(j.hop.pinned), " "), "pinnedKey", "set pinnedKey to the new one")
	}
	return nil
}

// pin is a key or a fingerprint.
type pin struct {
	key         xssh.PublicKey
	fingerprint string
}

func (p pin) matches(key xssh.PublicKey) bool {
	if p.key != nil {
		return bytes.Equal(p.key.Marshal(), key.Marshal())
	}
	return p.fingerprint == xssh.FingerprintSHA256(key)
}

func parsePins(text string) (pins []pin, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "SHA256:"):
			pins = append(pins, pin{fingerprint: strings.TrimRight(line, "=")})
		default:
			key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(line))
			if err != nil {
				return nil, fmt.Errorf("%q: expected a public key (ssh-ed25519 AAAA…) or its fingerprint (SHA256:…)", line)
			}
			pins = append(pins, pin{key: key})
		}
	}
	if len(pins) == 0 {
		return nil, errors.New("is missing: with hostKey=pinned, expected a public key (ssh-ed25519 AAAA…) or its fingerprint (SHA256:…)")
	}
	return pins, nil
}

// byFirstUse believes the first key and remembers it.
func (j *judge) byFirstUse() error {
	before, err := j.l.cfg.HostKeys.HostKey(j.ctx, j.hop.address())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fmt.Errorf("host key of %s: %w", j.hop.address(), err)
	}
	if kind, _, ok := strings.Cut(before.Key, " "); ok {
		j.algorithms = preferred([]string{kind})
	}
	j.check = func(_ string, _ net.Addr, key xssh.PublicKey) (string, error) {
		return j.seen(HostKey{Address: j.hop.address(), Key: strings.TrimSpace(string(xssh.MarshalAuthorizedKey(key))),
			Fingerprint: xssh.FingerprintSHA256(key), Approved: !j.hop.approve, Seen: time.Now().UTC()}, key)
	}
	return nil
}

// seen decides on the key that the host shows now. What is known is read once more: somebody may have approved a key since.
func (j *judge) seen(now HostKey, key xssh.PublicKey) (string, error) {
	before, err := j.l.cfg.HostKeys.HostKey(j.ctx, now.Address)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", fmt.Errorf("host key of %s: %w", now.Address, err)
	}
	switch {
	case before.Approved && before.Key == now.Key:
		if before.Other != nil { // it shows the approved one again: the other is nothing to approve
			before.Other = nil
			err = j.l.cfg.HostKeys.PutHostKey(j.ctx, before)
		}
		return "seen first at " + before.Seen.Format(time.RFC3339), err
	case before.Approved:
		if o := before.Other; o == nil || o.Key != now.Key {
			before.Other = &OtherKey{Key: now.Key, Fingerprint: now.Fingerprint, Seen: now.Seen}
			if err := j.l.cfg.HostKeys.PutHostKey(j.ctx, before); err != nil {
				return "", fmt.Errorf("host key of %s: %w", now.Address, err)
			}
		}
		return "", j.changed(key, before.Fingerprint, "what was seen first at "+before.Seen.Format(time.RFC3339), j.l.cfg.HowToApprove(j.node, now))
	case before.Key == now.Key:
		now.Seen = before.Seen
	}
	return j.first(now)
}

// first stores a key that was not let in before.
func (j *judge) first(now HostKey) (string, error) {
	if err := j.l.cfg.HostKeys.PutHostKey(j.ctx, now); err != nil {
		return "", fmt.Errorf("host key of %s: %w", now.Address, err)
	}
	if now.Approved {
		return "seen for the first time, and believed", nil
	}
	return "", kit.Trouble(fault.Denied,
		"compare it with what `ssh-keygen -lf` says of /etc/ssh/ssh_host_*_key.pub on the machine, then approve it: "+j.l.cfg.HowToApprove(j.node, now),
		"host key of %s awaits approval: %s", j.hop.who(), now.Fingerprint)
}

// certificates stands for all types of certificates.
const certificates = "certificates"

// preferred orders the host key algorithms so that a host with several keys shows the one that is known. Certificates are asked
// for only when an authority is known. Of a host that is not known the shortest line is learnt: Ed25519 before ECDSA before RSA, as OpenSSH does.
func preferred(types []string) []string {
	all := xssh.SupportedAlgorithms().HostKeys
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	var first, rest []string
	for _, a := range all {
		cert := strings.Contains(a, "-cert-v01@")
		switch {
		case cert && slices.Contains(types, certificates),
			slices.Contains(types, a), strings.HasPrefix(a, "rsa-sha2-") && !cert && slices.Contains(types, xssh.KeyAlgoRSA):
			first = append(first, a)
		case !cert:
			rest = append(rest, a)
		}
	}
	return append(first, rest...)
}

func rank(algorithm string) int {
	return slices.IndexFunc([]string{"ssh-ed25519", "sk-ssh-ed25519", "ecdsa", "sk-ecdsa", ""}, func(p string) bool { return strings.HasPrefix(algorithm, p) })
}

// short is a key's type as sshd names its files.
func short(key xssh.PublicKey) string {
	switch t := key.Type(); {
	case strings.HasPrefix(t, "ecdsa"):
		return "ecdsa"
	case t == xssh.KeyAlgoRSA:
		return "rsa"
	}
	return "ed25519"
}
