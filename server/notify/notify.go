// Package notify tells people what became of nodes and builds: by mail, and by webhooks.
//
// A Service is woken by the signals of the roster and of the builds, reads them anew, and decides what is worth telling: a Watch
// gathers the nodes' changes so that a storm is one message, a ledger finds the builds that have ended. A message is a file in
// the spool before it counts as told; what cannot be delivered is tried again with growing pauses, for a day, over restarts. The
// spool has a limit; what finds no place in it is counted and logged.
//
// A delivery is made at least once: its ID is the same at every attempt. Only what Run started runs concurrently with Run; Set
// may be called by anybody.
package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/signal"
	"github.com/outwork-build/outwork/secret"
)

// Nodes is what is read of the roster.
type Nodes interface {
	Subscribe() (changed <-chan struct{}, cancel func())
	Snapshot() []fleet.Status
}

// Config is what a Service stands on. Dir, Nodes, Builds and Ended must be set.
type Config struct {
	Dir     string // folder of the spool
	Nodes   Nodes
	Builds  Builds
	Ended   func() (changed <-chan struct{}, cancel func()) // signals that builds would read differently
	Secrets secret.Source                                   // nil knows env: only
	URL     func() string                                   // of the controller, for links; nil is ""
	RootCAs *x509.CertPool                                  // that servers are checked by; nil is the system's

	Window time.Duration // how long changes of nodes are gathered; 0 is 30 s
	Every  time.Duration // how long further news of one node are held; 0 is an hour
	Grace  time.Duration // how long nodes have to connect after a start; 0 is 2 min
	Gather time.Duration // at least between two looks at the builds; 0 is 1 s

	Now      func() time.Time // nil is time.Now
	Log      *slog.Logger     // nil discards
	Registry prometheus.Registerer
}

// Service is the notifier. New makes it, Run runs it once.
type Service struct {
	cfg      Config
	settings atomic.Pointer[Settings]
	set      signal.Set
	metrics  *metrics
	deliver  func(ctx context.Context, s Settings, d *delivery) error

	// The rest belongs to Run's goroutine.
	spool   *spool
	watch   *Watch
	ledger  ledger
	results chan outcome
	sending sync.WaitGroup
}

// outcome is how an attempt ended.
type outcome struct {
	d   *delivery
	err error
}

// New opens the spool.
func New(cfg Config) (*Service, error) {
	if cfg.Dir == "" || cfg.Nodes == nil || cfg.Builds == nil || cfg.Ended == nil {
		return nil, errors.New("notify: Config.Dir, Nodes, Builds and Ended must be set")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.URL == nil {
		cfg.URL = func() string { return "" }
	}
	if cfg.Secrets == nil {
		cfg.Secrets = secret.Env{}
	}
	for d, def := range map[*time.Duration]time.Duration{&cfg.Window: 30 * time.Second, &cfg.Every: time.Hour, &cfg.Grace: 2 * time.Minute, &cfg.Gather: time.Second} {
		if *d <= 0 {
			*d = def
		}
	}
	s := &Service{cfg: cfg, results: make(chan outcome)}
	s.deliver = s.attempt
	s.settings.Store(&Settings{})
	sp, bad, err := openSpool(filepath.Join(cfg.Dir, "spool"))
	if err != nil {
		return nil, err
	}
	for _, b := range bad {
		cfg.Log.Warn("a notification cannot be read and was put aside", "error", b)
	}
	s.spool = sp
	if s.metrics, err = newMetrics(cfg.Registry); err != nil {
		return nil, err
	}
	return s, nil
}

// Set takes settings, which the caller does not change any more. Deliveries to a channel that is no more are dropped.
func (s *Service) Set(settings Settings) {
	s.settings.Store(&settings)
	s.set.Notify()
}

// kept is what a restart must not forget.
type kept struct {
	Nodes  map[fleet.NodeName]*watched `json:"nodes"`
	Builds ledger                      `json:"builds"`
}

func (s *Service) stateFile() string { return filepath.Join(s.cfg.Dir, "state.json") }

// load reads what an earlier process kept. What cannot be read is forgotten: at worst something is told twice.
func (s *Service) load(now time.Time) {
	s.watch = NewWatch(now, s.cfg.Window, s.cfg.Every, s.cfg.Grace)
	b, err := os.ReadFile(s.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		s.cfg.Log.Warn("what was told before cannot be read", "error", err)
		return
	}
	s.ledger = k.Builds
	for name, n := range k.Nodes {
		if n != nil {
			n.now = NodeChange{Node: name, State: n.Told}
			s.watch.nodes[name] = n
		}
	}
}

// save keeps what was told. It comes after the spool's own writes, so that a crash between them tells something twice, never not at all.
func (s *Service) save() {
	if err := writeJSON(s.stateFile(), kept{s.watch.nodes, s.ledger}); err != nil {
		s.cfg.Log.Warn("what was told cannot be kept", "error", err)
	}
}

// Run works until ctx ends. What is not delivered then is delivered after the next start.
func (s *Service) Run(ctx context.Context) error {
	nodes, stopNodes := s.cfg.Nodes.Subscribe()
	defer stopNodes()
	builds, stopBuilds := s.cfg.Ended()
	defer stopBuilds()
	set, stopSet := s.set.Subscribe()
	defer stopSet()
	defer s.sending.Wait()
	attempts, cancel := context.WithCancel(ctx)
	defer cancel()
	s.load(s.cfg.Now())
	s.ready()

	timer := time.NewTimer(0)
	defer timer.Stop()
	lookAt := s.cfg.Now() // when builds are to be looked at; zero: not before a signal
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			s.watch.Observe(s.cfg.Now(), s.cfg.Nodes.Snapshot()) // nodes that were waited for are missed without a signal
		case <-nodes:
			s.watch.Observe(s.cfg.Now(), s.cfg.Nodes.Snapshot())
		case <-set:
			s.ready()
			lookAt = s.cfg.Now()
		case <-builds:
			if lookAt.IsZero() {
				lookAt = s.cfg.Now().Add(s.cfg.Gather)
			}
		case o := <-s.results:
			s.ended(o)
		}
		now := s.cfg.Now()
		if !lookAt.IsZero() && !now.Before(lookAt) {
			lookAt = time.Time{}
			if err := s.look(ctx, now); err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("builds cannot be looked at", "error", err)
				lookAt = now.Add(10 * s.cfg.Gather)
			}
		}
		next := s.tell(now)
		s.start(attempts, now, &next)
		earliest(&next, lookAt)
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(0, next.Sub(now)))
		}
	}
}

// ready takes the nodes and builds as they are for known, when nobody listened until now.
func (s *Service) ready() {
	s.watch.Observe(s.cfg.Now(), s.cfg.Nodes.Snapshot())
	if !s.settings.Load().wantBuilds() {
		s.ledger = ledger{}
	}
}

func earliest(next *time.Time, at time.Time) {
	if !at.IsZero() && (next.IsZero() || at.Before(*next)) {
		*next = at
	}
}

// tell asks the Watch, and says when to ask it again.
func (s *Service) tell(now time.Time) (next time.Time) {
	digest, next := s.watch.Due(now)
	if len(digest) > 0 {
		s.spread(nodesMessage(s.cfg.URL(), now, digest), now)
		s.save()
	}
	return next
}

// look tells what has ended.
func (s *Service) look(ctx context.Context, now time.Time) error {
	if !s.settings.Load().wantBuilds() {
		return nil
	}
	ended, next, err := s.ledger.look(ctx, s.cfg.Builds)
	if err != nil {
		return err
	}
	for _, b := range ended {
		was, err := before(ctx, s.cfg.Builds, b.ID)
		if err != nil {
			return err
		}
		s.spread(buildMessage(s.cfg.URL(), now, b, was), now)
	}
	s.ledger = next
	s.save()
	return nil
}

// spread puts a message into the spool for every channel that wants it.
func (s *Service) spread(m Message, now time.Time) {
	set := s.settings.Load()
	put := func(channel string, in *Interest) {
		own, ok := in.only(m)
		if !ok {
			return
		}
		if err := s.spool.add(channel, own, now); err != nil {
			s.metrics.dropped.WithLabelValues(channel).Inc()
			s.cfg.Log.Error("a notification is lost", "channel", channel, "event", m.Event, "about", m.subject(), "error", err)
		}
	}
	if set.SMTP != nil {
		put("smtp", &set.SMTP.Interest)
	}
	for i := range set.Webhooks {
		put("webhook "+set.Webhooks[i].Name, &set.Webhooks[i].Interest)
	}
}

// start begins the attempts that are due.
func (s *Service) start(ctx context.Context, now time.Time, next *time.Time) {
	due, again := s.spool.due(now)
	set := *s.settings.Load()
	for _, d := range due {
		d.busy = true
		copied := *d
		s.sending.Go(func() {
			err := s.deliver(ctx, set, &copied)
			select {
			case s.results <- outcome{d, err}:
			case <-ctx.Done():
			}
		})
	}
	s.metrics.waiting.Set(float64(len(s.spool.waiting)))
	earliest(next, again)
}

var errNoChannel = permanent{errors.New("its channel is not configured any more")}

// attempt delivers once.
func (s *Service) attempt(ctx context.Context, set Settings, d *delivery) error {
	if d.Channel == "smtp" && set.SMTP != nil {
		return s.send(ctx, *set.SMTP, d.Message)
	}
	for _, w := range set.Webhooks {
		if d.Channel == "webhook "+w.Name {
			return s.post(ctx, w, d.Message)
		}
	}
	return errNoChannel
}

// ended takes note of an attempt.
func (s *Service) ended(o outcome) {
	d, now := o.d, s.cfg.Now()
	d.busy = false
	var final permanent
	var err error
	switch {
	case o.err == nil:
		s.metrics.sent.WithLabelValues(d.Channel).Inc()
		err = s.spool.done(d)
	case errors.As(o.err, &final) || now.Sub(d.Message.At) > maxAge:
		s.metrics.failed.WithLabelValues(d.Channel).Inc()
		s.metrics.dropped.WithLabelValues(d.Channel).Inc()
		s.cfg.Log.Error("a notification was given up", "channel", d.Channel, "about", d.Message.subject(), "attempts", d.Attempts+1, "error", o.err)
		err = s.spool.done(d)
	default:
		s.metrics.failed.WithLabelValues(d.Channel).Inc()
		err = s.spool.again(d, now)
		s.cfg.Log.Warn("a notification was not delivered", "channel", d.Channel, "about", d.Message.subject(), "again", d.Next, "error", o.err)
	}
	if err != nil {
		s.cfg.Log.Warn("the spool cannot be written", "error", err)
	}
}

var _ Builds = build.Store(nil)
