package ssh

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/outwork-build/outwork/fleet/launch/kit"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/secret"
)

// credentials are what a launch logs in with, hop by hop, for as long as the launch takes.
type credentials struct {
	logins  []login
	masks   [][]byte // must not be seen in a log
	closers []func() error
}

// login is what one hop is shown.
type login struct {
	methods []xssh.AuthMethod
	keys    []xssh.Signer
	offers  []string // what the hop said it takes; filled in by the attempt
}

func (c *credentials) close() {
	for _, f := range c.closers {
		_ = f()
	}
}

// credentials finds the secrets of all hops.
func (l *Launcher) credentials(ctx context.Context, s *settings) (*credentials, error) {
	c := &credentials{}
	for _, h := range s.hops {
		one, err := l.login(ctx, h, c)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("login for %s: %w", h.who(), err)
		}
		c.logins = append(c.logins, one)
	}
	return c, nil
}

func (l *Launcher) login(ctx context.Context, h hop, c *credentials) (login, error) {
	var out login
	keys, err := l.keys(ctx, h, c)
	if err != nil {
		return out, err
	}
	out.keys = keys
	if h.agent {
		more, err := l.agentKeys(c)
		if err != nil {
			return out, err
		}
		out.keys = append(out.keys, more...)
	}
	if len(out.keys) > 0 {
		out.methods = append(out.methods, xssh.PublicKeys(out.keys...))
	}
	if h.password != "" {
		v, err := l.cfg.Secrets.Resolve(ctx, h.password)
		if err != nil {
			return out, fmt.Errorf("password: %w", err)
		}
		password := string(oneLine(v.Reveal()))
		c.masks = append(c.masks, []byte(password))
		out.methods = append(out.methods, xssh.Password(password), xssh.KeyboardInteractive(answer(password)))
	}
	if len(out.methods) == 0 {
		return out, fault.New(fault.Invalid, "there is nothing to log in with: none of the key files %s is there", strings.Join(h.identities, ", "))
	}
	return out, nil
}

// answer gives the password to each question that hides what is typed.
func answer(password string) xssh.KeyboardInteractiveChallenge {
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range questions {
			if !echos[i] {
				answers[i] = password
			}
		}
		return answers, nil
	}
}

// keys opens a hop's own keys.
func (l *Launcher) keys(ctx context.Context, h hop, c *credentials) ([]xssh.Signer, error) {
	passphrase, err := l.passphrase(ctx, h, c)
	if err != nil {
		return nil, err
	}
	if h.key != "" {
		signers, err := l.key(ctx, h.key, h.certificate, passphrase)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", h.key, err)
		}
		return signers, nil
	}
	var out []xssh.Signer
	for _, path := range h.identities {
		signers, err := l.key(ctx, secret.Ref("file:"+path), "", passphrase)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", path, err)
		}
		out = append(out, signers...)
	}
	return out, nil
}

func (l *Launcher) passphrase(ctx context.Context, h hop, c *credentials) ([]byte, error) {
	if h.passphrase == "" {
		return nil, nil
	}
	v, err := l.cfg.Secrets.Resolve(ctx, h.passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	p := oneLine(v.Reveal())
	c.masks = append(c.masks, p)
	return p, nil
}

// key opens one key, with its certificate before it when there is one.
func (l *Launcher) key(ctx context.Context, ref, certificate secret.Ref, passphrase []byte) ([]xssh.Signer, error) {
	v, err := l.cfg.Secrets.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	signer, err := ParseKey(v.Reveal(), passphrase)
	if err != nil {
		return nil, err
	}
	wanted := certificate != ""
	if !wanted {
		if !strings.HasPrefix(string(ref), "file:") {
			return []xssh.Signer{signer}, nil
		}
		certificate = ref + "-cert.pub"
	}
	v, err = l.certificate(ctx, certificate, wanted)
	if fault.Is(err, fault.NotFound) && !wanted {
		return []xssh.Signer{signer}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	withCert, err := parseCertificate(v.Reveal(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", certificate, err)
	}
	return []xssh.Signer{withCert, signer}, nil
}

// certificate reads a certificate. It is no secret: the one beside a key file is read without a warning of who else can.
func (l *Launcher) certificate(ctx context.Context, ref secret.Ref, wanted bool) (secret.Value, error) {
	if wanted {
		return l.cfg.Secrets.Resolve(ctx, ref)
	}
	path := strings.TrimPrefix(string(ref), "file:")
	b, err := os.ReadFile(expand(path, hop{}, l.cfg.Home))
	if os.IsNotExist(err) {
		return secret.Value{}, fault.With(fault.NotFound, err)
	}
	return secret.New(b), err
}

// agentKeys asks an ssh agent for its keys. It stays connected: the agent does the signing.
func (l *Launcher) agentKeys(c *credentials) ([]xssh.Signer, error) {
	if l.cfg.AgentSocket == "" {
		return nil, fault.New(fault.Invalid, "agent=true: the controller has no ssh agent: start it with SSH_AUTH_SOCK set")
	}
	conn, err := net.Dial("unix", l.cfg.AgentSocket)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "ssh agent: %w", err)
	}
	c.closers = append(c.closers, conn.Close)
	keys, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, fault.New(fault.Unavailable, "ssh agent: %w", err)
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Invalid, "agent=true: the ssh agent has no keys: ssh-add one")
	}
	return keys, nil
}

// oneLine drops the newline that editors put at a file's end.
func oneLine(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// refused explains why a hop did not let us in. S1-17.
func (g *login) refused(h hop, err error) error {
	if !strings.Contains(err.Error(), "unable to authenticate") && !strings.Contains(err.Error(), "too many authentication") {
		return kit.Trouble(fault.Unavailable, "look at sshd's log there: it may be full (MaxStartups), or not let this user in (AllowUsers)",
			"log in to %s: the connection ended: %w", h.who(), err)
	}
	takes := "any way of logging in that we have"
	if len(g.offers) > 0 {
		takes = "it takes " + strings.Join(g.offers, ", ")
	}
	hint := fmt.Sprintf("check that user %q and the password are right there", h.user)
	if len(g.keys) > 0 {
		hint = fmt.Sprintf("add this line to ~%s/.ssh/authorized_keys there, and check that sshd may read it (chmod 700 ~/.ssh, 600 the file):\n  %s",
			h.user, authorizedLine(g.keys[len(g.keys)-1].PublicKey(), h.options()))
		if len(g.offers) > 0 && !slices.Contains(g.offers, "publickey") {
			hint = "it takes no keys (PubkeyAuthentication no in its sshd_config); " + hint
		}
	}
	return kit.Trouble(fault.Unauthenticated, hint, "log in to %s: refused: it does not take what we have (%s)", h.who(), takes)
}
