package notify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/signal"
)

const patience = 30 * time.Second

// farm is a roster and builds that a test changes.
type farm struct {
	signal.Set
	mu       sync.Mutex
	nodes    []fleet.Status
	builds   *records
	buildSet signal.Set
	looked   func() // called when somebody asks for builds that have not ended, as the first look does last
}

func (f *farm) Snapshot() []fleet.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.nodes)
}

func (f *farm) set(nodes ...fleet.Status) {
	f.mu.Lock()
	f.nodes = nodes
	f.mu.Unlock()
	f.Notify()
}

func (f *farm) ends(job build.JobName, r build.Result) {
	f.mu.Lock()
	f.builds.end(f.builds.accept(job), r)
	f.mu.Unlock()
	f.buildSet.Notify()
}

func (f *farm) Build(ctx context.Context, id build.ID) (build.Build, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.builds.Build(ctx, id)
}

func (f *farm) Builds(ctx context.Context, q build.Filter) ([]build.Build, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.looked != nil && slices.Contains(q.States, build.Queued) {
		f.looked()
	}
	return f.builds.Builds(ctx, q)
}

// service starts a Service with short windows and stops it at the test's end.
func service(t *testing.T, f *farm, s Settings, change ...func(*Config)) *Service {
	t.Helper()
	f.builds = newRecords()
	cfg := Config{Dir: t.TempDir(), Nodes: f, Builds: f, Ended: f.buildSet.Subscribe, URL: func() string { return "http://farm.example:8080" },
		Window: 10 * time.Millisecond, Gather: time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Set(s)
	return n
}

func run(t *testing.T, n *Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// letterIn is a mail that the sink took.
type letterIn struct {
	to   []string
	data string
	tls  bool
	user string
}

// sink is a real SMTP server that keeps what it gets.
type sink struct{ got chan letterIn }

func (s *sink) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &sinkSession{sink: s, letterIn: letterIn{tls: secure}}, nil
}

type sinkSession struct {
	sink *sink
	letterIn
}

func (s *sinkSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *sinkSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "farm" || password != "s3cret" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}
func (s *sinkSession) Reset()                               { s.to = nil }
func (s *sinkSession) Logout() error                        { return nil }
func (s *sinkSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}
func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.data = string(b)
	if err == nil {
		s.sink.got <- s.letterIn
	}
	return err
}

// certificate makes one for 127.0.0.1 and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// mailServer serves a sink on loopback. With implicit the port speaks TLS from its first byte; with a certificate it offers STARTTLS.
func mailServer(t *testing.T, cert *tls.Certificate, implicit bool) (*sink, int) {
	t.Helper()
	s := &sink{got: make(chan letterIn, 10)}
	server := smtp.NewServer(s)
	server.AllowInsecureAuth = true
	server.ErrorLog = discard{}
	if cert != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if implicit {
		l = tls.NewListener(l, server.TLSConfig)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return s, port
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// read takes a mail apart.
func read(t *testing.T, data string) (subject, body string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var r io.Reader = m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Get("Subject"), strings.TrimRight(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
}

// S3-23, S3-24: the very mail of "Monitor and Restart Offline Agents", to each of the recipients, over each kind of connection.
func TestTheMailOfAnOfflineAgent(t *testing.T) {
	cert, pool := certificate(t)
	for _, c := range []struct {
		kind string
		user bool
	}{{NoTLS, false}, {NoTLS, true}, {StartTLS, true}, {ImplicitTLS, true}} {
		t.Run(fmt.Sprint(c.kind, c.user), func(t *testing.T) {
			t.Setenv("FARM_MAIL", "s3cret")
			offer := &cert
			if c.kind == NoTLS {
				offer = nil
			}
			s, port := mailServer(t, offer, c.kind == ImplicitTLS)
			set := SMTP{Host: "127.0.0.1", Port: port, From: "farm@example.org", To: Recipients("a@example.org;b@example.org"), TLS: c.kind, Interest: Interest{Nodes: []string{WentOffline}}}
			if c.user {
				set.Username, set.Password = "farm", "env:FARM_MAIL"
			}
			if ps := (Settings{SMTP: &set}).Check(); len(ps) > 0 {
				t.Fatal(ps)
			}
			f := &farm{}
			n := service(t, f, Settings{SMTP: &set}, func(c *Config) { c.RootCAs = pool })
			f.nodes = fleetOf(time.Now(), true, "n1", "n2")
			run(t, n)
			f.set(status("n1", false, time.Now()), status("n2", true, time.Now()))
			got := receive(t, s.got)
			if !slices.Equal(got.to, []string{"a@example.org", "b@example.org"}) || got.tls != (c.kind != NoTLS) || (got.user != "") != c.user {
				t.Errorf("to %v, TLS %v, as %q", got.to, got.tls, got.user)
			}
			subject, body := read(t, got.data)
			if subject != "n1 agent is offline" {
				t.Errorf("subject %q", subject)
			}
			if want := "n1 agent is down. Check http://farm.example:8080/computer/n1\nBecause Connection was broken: EOF"; body != want {
				t.Errorf("body %q\nwant %q", body, want)
			}
		})
	}
}

// S3-28: one digest, by real mail.
func TestAStormIsOneMail(t *testing.T) {
	s, port := mailServer(t, nil, false)
	f := &farm{}
	n := service(t, f, Settings{SMTP: &SMTP{Host: "127.0.0.1", Port: port, From: "f@example.org", To: []string{"a@example.org"}, TLS: NoTLS, Interest: Interest{Nodes: []string{WentOffline}}}})
	f.nodes = fleetOf(time.Now(), true, names(100)...)
	run(t, n)
	f.set(fleetOf(time.Now(), false, names(100)...)...)
	subject, body := read(t, receive(t, s.got).data)
	if subject != "100 agents are offline" || strings.Count(body, "\nBecause ") != 100 {
		t.Fatalf("%q: %d nodes", subject, strings.Count(body, "\nBecause "))
	}
	if len(s.got) > 0 {
		t.Error("there was a second mail")
	}
}

func TestAServerWithoutSTARTTLSGetsNoMail(t *testing.T) {
	_, port := mailServer(t, nil, false)
	f := &farm{}
	n := service(t, f, Settings{})
	err := n.send(t.Context(), SMTP{Host: "127.0.0.1", Port: port, From: "f@example.org", To: []string{"a@example.org"}}, nodesMessage("", begin, []NodeChange{{Node: "a", State: WentOffline}}))
	if err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Fatalf("sent in the clear: %v", err)
	}
}

// post is a delivery that a test server got.
type delivered struct {
	header http.Header
	body   []byte
}

// hook is an http server that answers with the statuses given, then with 204.
func hook(t *testing.T, statuses ...int) (string, <-chan delivered) {
	t.Helper()
	got := make(chan delivered, 100)
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := io.ReadAll(r.Body)
		if len(statuses) > 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(statuses[0])
			statuses = statuses[1:]
		} else {
			w.WriteHeader(http.StatusNoContent)
		}
		got <- delivered{r.Header, b}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/in?key=hidden", got
}

func TestAWebhookIsSignedAndTriedAgain(t *testing.T) {
	t.Setenv("HOOK_KEY", "k3y")
	url, got := hook(t, http.StatusBadGateway)
	f := &farm{}
	registry := prometheus.NewRegistry()
	n := service(t, f, Settings{Webhooks: []Webhook{{Name: "chat", URL: url, Secret: "env:HOOK_KEY", AllowPrivate: []string{"127.0.0.0/8"},
		Interest: Interest{Builds: &BuildFilter{Results: []build.Result{build.Failure}}}}}}, func(c *Config) { c.Registry = registry })
	f.ends("app", build.Success) // before it listened
	looked := make(chan struct{}, 100)
	f.mu.Lock()
	f.looked = func() { looked <- struct{}{} }
	f.mu.Unlock()
	run(t, n)
	receive(t, looked) // at what there was before
	f.ends("app", build.Success)
	f.ends("app", build.Failure)
	a, b := receive(t, got), receive(t, got)
	if a.header.Get(HeaderDelivery) == "" || a.header.Get(HeaderDelivery) != b.header.Get(HeaderDelivery) || !bytes.Equal(a.body, b.body) {
		t.Errorf("two attempts differ: %v %s, %v %s", a.header, a.body, b.header, b.body)
	}
	if want := "sha256=" + Sign([]byte("k3y"), b.header.Get(HeaderTimestamp), b.body); b.header.Get(HeaderSignature) != want {
		t.Errorf("signature %q, want %q", b.header.Get(HeaderSignature), want)
	}
	var m Message
	if err := json.Unmarshal(b.body, &m); err != nil || m.Build == nil || m.Build.Result != build.Failure || m.Build.Before != build.Success || m.Build.Number != 3 ||
		m.Build.URL != "http://farm.example:8080/jobs/app/3" {
		t.Fatalf("%s: %v", b.body, err)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	for status, final := range map[int]bool{301: true, 307: true, 400: true, 401: true, 404: true, 410: true, 408: false, 429: false, 500: false, 503: false} {
		url, got := hook(t, status)
		n := service(t, &farm{}, Settings{})
		err := n.post(t.Context(), Webhook{Name: "x", URL: url, AllowPrivate: []string{"127.0.0.0/8"}}, Message{ID: "1"})
		receive(t, got)
		var p permanent
		if err == nil || errors.As(err, &p) != final {
			t.Errorf("%d: %v", status, err)
		}
		if len(got) > 0 {
			t.Errorf("%d: the redirect was followed", status)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%d: the URL stands in %q", status, err)
		}
	}
}

// T13: what is dialled is checked after DNS.
func TestAWebhookDoesNotReachBehindTheFirewall(t *testing.T) {
	url, got := hook(t)
	for _, u := range []string{url, strings.Replace(url, "127.0.0.1", "localhost", 1)} {
		n := service(t, &farm{}, Settings{})
		err := n.post(t.Context(), Webhook{Name: "x", URL: u}, Message{ID: "1"})
		if err == nil || !strings.Contains(err.Error(), "allowPrivate") || strings.Contains(err.Error(), "hidden") || len(got) > 0 {
			t.Errorf("%v", err)
		}
	}
	for _, c := range []struct {
		address string
		allowed []netip.Prefix
		ok      bool
	}{
		{"8.8.8.8:443", nil, true}, {"[2606:4700::1111]:443", nil, true},
		{"10.1.2.3:80", nil, false}, {"172.16.0.1:80", nil, false}, {"192.168.1.1:80", nil, false}, {"169.254.169.254:80", nil, false},
		{"100.64.1.1:80", nil, false}, {"0.0.0.0:80", nil, false}, {"255.255.255.255:80", nil, false}, {"224.0.0.1:80", nil, false},
		{"[::1]:80", nil, false}, {"[::]:80", nil, false}, {"[fe80::1%25eth0]:80", nil, false}, {"[fd00::1]:80", nil, false},
		{"[::ffff:127.0.0.1]:80", nil, false}, {"[::ffff:10.0.0.1]:80", nil, false}, {"[64:ff9b::a00:1]:80", nil, false}, {"[2002:a00:1::]:80", nil, false},
		{"10.1.2.3:80", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true}, {"[::ffff:10.1.2.3]:80", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true},
		{"192.168.1.1:80", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false},
	} {
		err := guard(c.allowed)("tcp", strings.Replace(c.address, "%25", "%", 1), nil)
		if (err == nil) != c.ok || err != nil && !fault.Is(err, fault.Denied) {
			t.Errorf("%s with %v: %v", c.address, c.allowed, err)
		}
	}
}

// TestWhatIsNotDeliveredSurvives: the spool is on disk, an attempt of the next process delivers.
func TestWhatIsNotDeliveredSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{nodes: fleetOf(time.Now(), true, "a")}
		set := Settings{Webhooks: []Webhook{{Name: "x", URL: "https://hook.example", Interest: Interest{Nodes: []string{WentOffline, CameOnline}}}}}
		n := service(t, f, set, func(c *Config) { c.Window = 30 * time.Second })
		attempts := 0
		n.deliver = func(context.Context, Settings, *delivery) error { attempts++; return errors.New("down") }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		synctest.Wait()
		f.set(status("a", false, time.Now()))
		time.Sleep(time.Hour)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if attempts < 10 || attempts > 30 {
			t.Errorf("%d attempts in an hour", attempts)
		}
		again, err := New(n.cfg)
		if err != nil {
			t.Fatal(err)
		}
		again.Set(set)
		var got []Message
		again.deliver = func(_ context.Context, _ Settings, d *delivery) error { got = append(got, d.Message); return nil }
		ctx, cancel = context.WithCancel(t.Context())
		go func() { ended <- again.Run(ctx) }()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		cancel()
		<-ended
		if len(got) != 1 || len(got[0].Nodes) != 1 || got[0].Nodes[0].Node != "a" {
			t.Errorf("the next process delivered %+v", got)
		}
		if files, _ := filepath.Glob(filepath.Join(n.cfg.Dir, "spool", "*")); len(files) > 0 {
			t.Errorf("left over: %v", files)
		}
	})
}

// TestANodeThatDoesNotComeBackIsMissed: it was online before the controller's restart, and nothing happens afterwards.
func TestANodeThatDoesNotComeBackIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{nodes: fleetOf(time.Now(), true, "a")}
		set := Settings{Webhooks: []Webhook{{Name: "x", Interest: Interest{Nodes: []string{WentOffline}}}}}
		n := service(t, f, set)
		n.load(time.Now())
		n.watch.Observe(time.Now(), f.Snapshot())
		n.save()
		f.nodes = []fleet.Status{{Node: fleet.Node{Name: "a"}, State: fleet.Offline, Cause: &fleet.OfflineCause{Kind: fleet.CauseNew, Text: "This agent has not connected yet."}}}
		again, err := New(n.cfg)
		if err != nil {
			t.Fatal(err)
		}
		again.Set(set)
		told := make(chan time.Time, 10)
		again.deliver = func(context.Context, Settings, *delivery) error { told <- time.Now(); return nil }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- again.Run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		cancel()
		<-ended
		if len(told) != 1 {
			t.Fatalf("told %d times", len(told))
		}
		if after := (<-told).Sub(began); after < 2*time.Minute || after > 3*time.Minute {
			t.Errorf("told after %v", after)
		}
	})
}

func TestOneSlowChannelDoesNotHoldTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{nodes: fleetOf(time.Now(), true, "a")}
		all := Interest{Nodes: []string{WentOffline, CameOnline}}
		n := service(t, f, Settings{Webhooks: []Webhook{{Name: "slow", Interest: all}, {Name: "fast", Interest: all}}})
		got := map[string]int{}
		var mu sync.Mutex
		n.deliver = func(ctx context.Context, _ Settings, d *delivery) error {
			if d.Channel == "webhook slow" {
				<-ctx.Done()
				return ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			got[d.Channel]++
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		synctest.Wait()
		f.set(status("a", false, time.Now()))
		time.Sleep(time.Minute)
		f.set(status("a", true, time.Now()))
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		if got["webhook fast"] != 2 {
			t.Errorf("delivered %v", got)
		}
		mu.Unlock()
		cancel()
		<-ended
	})
}

// P5: the spool has a limit, and what is over it is counted.
func TestTheSpoolIsBounded(t *testing.T) {
	f := &farm{}
	n := service(t, f, Settings{Webhooks: []Webhook{{Name: "x", Interest: Interest{Nodes: []string{WentOffline}}}}})
	for range maxSpool {
		n.spool.waiting = append(n.spool.waiting, &delivery{Channel: "webhook x"})
	}
	n.spread(nodesMessage("", begin, []NodeChange{{Node: "a", State: WentOffline}}), begin)
	if got := testutil.ToFloat64(n.metrics.dropped.WithLabelValues("webhook x")); got != 1 || len(n.spool.waiting) != maxSpool {
		t.Fatalf("%v counted, %d wait", got, len(n.spool.waiting))
	}
}

func TestWhatIsWrongWithSettings(t *testing.T) {
	s := Settings{SMTP: &SMTP{Host: "a b", Port: 70000, From: "x", To: []string{"y"}, TLS: "ssl", Username: "u", Password: "plain", Interest: Interest{Nodes: []string{"down"}}},
		Webhooks: []Webhook{{Name: "a", URL: "ftp://x", AllowPrivate: []string{"10"}}, {Name: "a", URL: "https://u:p@x", Interest: Interest{Builds: &BuildFilter{Jobs: []string{"["}, Results: []build.Result{"BAD"}}}}}}
	var paths []string
	for _, p := range s.Check() {
		paths = append(paths, p.Path)
		if strings.Contains(p.Message, "plain") {
			t.Errorf("the secret stands in %q", p.Message)
		}
	}
	want := []string{"smtp.host", "smtp.port", "smtp.from", "smtp.to", "smtp.tls", "smtp.password", "smtp.nodes[0]", "webhooks[0].url", "webhooks[0].allowPrivate[0]",
		"webhooks[1].name", "webhooks[1].url", "webhooks[1].builds.jobs[0]", "webhooks[1].builds.results[0]"}
	if !slices.Equal(paths, want) {
		t.Errorf("problems at %v\nwant %v", paths, want)
	}
}
