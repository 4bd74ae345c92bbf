// Package server is the controller: it opens every room, wires them, and runs until it is told to stop.
//
// New takes the port and the data folder, so that what is wrong with either is known at once; Run serves. When Run's context
// ends the controller stops and leaves everything as it is: steps run on at the agents, builds stay running in the ledger, and
// the next start takes them up where they are.
package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent/remote"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/disk"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/launch/inbound"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/fleet/setup"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/internal/lifecycle"
	"github.com/outwork-build/outwork/internal/version"
	"github.com/outwork-build/outwork/pipeline"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/config"
	"github.com/outwork-build/outwork/server/jenkins"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/rest"
	"github.com/outwork-build/outwork/server/tools"
	"github.com/outwork-build/outwork/server/web"
	"github.com/outwork-build/outwork/store/sqlite"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/websocket"
)

// TLS names the files of a certificate and its key, in PEM.
type TLS struct{ Cert, Key string }

// Config is what a controller is made of. Data must be set; everything else has a default.
type Config struct {
	Data   string // folder of all that is kept; made when missing
	Listen string // address of the one port; "" is ":8080"
	// AgentListen is the address of a port for agents besides, with TLS by a key of the controller's own; "" has none, port 0 takes any.
	AgentListen string
	AgentsDir   string // folder of the agents to hand out, outwork-agent-OS-ARCH; "" is agents-bin of Data, else agents beside this program
	URL         string // under which people and agents reach it; "" is derived from Listen
	TLS         *TLS   // nil serves plain HTTP

	Executors int      // of the built-in node, which is this machine; 0 has no built-in node (threat T23)
	Nodes     []Local  // nodes of this machine besides, made or changed at each start
	Agent     []string // argv that starts an agent of this machine; empty is this program's own "agent" verb

	Private bool           // makes no first admin: for a controller that only its own process speaks to
	Hash    *auth.HashCost // of passwords; nil is what auth recommends. Tests make it cheap

	Tools string // folder that is mirrored to the nodes as their tools; "" has none. See package server/tools

	ConfigFile string // the farm as a file, applied at each start and at Reload; "" has none. See package config

	Monitors map[string]fleet.Limit // of all nodes, by the monitor's name; what is missing has the monitor's defaults

	// CacheListen is the address of a port for clients of the cache besides, gRPC (Bazel and its kin) and HTTP; "" has none, port 0 takes any.
	CacheListen    string
	CacheAnonymous string // what callers without a login may do with the cache: "" nothing, "read", or "write", which is everything

	CacheBytes int64         // disk space of stashes, artifacts and other blobs; 0 is 20 GiB
	LeaseTTL   time.Duration // see queue.Config; 0 is 30 s
	LeaseGrace time.Duration // 0 is 15 s; less than 6 s is refused
	HoldWindow time.Duration // 0 is 5 min
	Scheduling queue.Policy  // how work is given to nodes; zero is the default policy
	Heartbeat  time.Duration // between controller and agents; 0 is 10 s

	Log *slog.Logger // nil discards
	Now func() time.Time
}

// Local is a node whose agent is a process of this machine.
type Local struct {
	Name      fleet.NodeName
	Labels    []string
	Executors int
}

// Server is a controller. New makes it, Run runs it once; Close is for one that never ran.
type Server struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener
	agents   agentPort
	cache    cachePort
	handler  http.Handler
	parts    lifecycle.Group
	password string
	connect  func(w http.ResponseWriter, r *http.Request, node string)
	refused  func(peer string, err error) // hears of agents whose credential does not hold

	ledger *sqlite.Ledger
	ttl    time.Duration // that the queue counts with; see openedWith
	blobs  *disk.Store
	logs   *buildlog.Store
	auth   *auth.Authority
	roster *fleet.Roster
	queue  *queue.Queue
	runner *pipeline.Runner

	config   *config.Manager
	notifier *notify.Service
	tools    *tools.Service

	launchers []string // kinds of them, by name

	policy   atomic.Pointer[queue.Policy] // how work is given to nodes
	policies chan struct{}                // holds a token when the queue is to hear of it
}

func (c *Config) defaults() error {
	if c.Data == "" {
		return fault.New(fault.Invalid, "data folder: expected a path")
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	c.Data = data
	if c.Listen == "" {
		c.Listen = ":8080"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Tools != "" {
		if c.Tools, err = filepath.Abs(c.Tools); err != nil {
			return err
		}
	}
	c.URL = strings.TrimRight(c.URL, "/")
	ttl, heartbeat := cmp.Or(c.LeaseTTL, 30*time.Second), cmp.Or(c.Heartbeat, 10*time.Second)
	if ttl <= 2*heartbeat {
		return fault.New(fault.Invalid, "lease TTL of %v: expected more than twice the heartbeat, which is %v: a heartbeat makes a lease count from the one before it", ttl, heartbeat)
	}
	if grace := cmp.Or(c.LeaseGrace, 15*time.Second); grace < minGrace {
		return fault.New(fault.Invalid, "lease grace of %v: expected at least %v: what runs has 5 s from TERM to KILL when a lease runs out, and its work must not be given out before", grace, minGrace)
	}
	return nil
}

// New opens the port and the data folder. fault.Conflict: the port or the folder is in use. fault.Incompatible: a newer Outwork
// wrote the folder.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Log, policies: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.listener, err = listen("--listen", cfg.Listen); err != nil {
		return nil, err
	}
	if s.cfg.URL == "" {
		s.cfg.URL = address(s.listener, cfg.TLS != nil)
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := s.build(registry); err != nil {
		return nil, err
	}
	if err := s.front(registry); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// open opens what is on disk.
func (s *Server) open(ctx context.Context) (err error) {
	c := s.cfg
	if s.ledger, err = sqlite.Open(ctx, c.Data, sqlite.Config{Logger: c.Log.With("room", "store")}); err != nil {
		return err
	}
	ttl := cmp.Or(c.LeaseTTL, 30*time.Second)
	if s.ttl, err = openedWith(ctx, c.Data, ttl, s.ledger.Tables.Leases.Load); err != nil {
		return fmt.Errorf("lease TTL: %w", err)
	}
	if s.ttl != ttl {
		c.Log.Warn("leases are open that were given for longer: until a start without any, a silent agent's work is given out again after the longer time",
			"lease_ttl", ttl, "counted", s.ttl)
	}
	if s.logs, err = buildlog.Open(filepath.Join(c.Data, "logs"), buildlog.Config{Logger: c.Log.With("room", "build")}); err != nil {
		return err
	}
	s.blobs, err = disk.Open(disk.Config{Dir: filepath.Join(c.Data, "cas"), MaxBytes: c.CacheBytes,
		Keep: keepBlobs(s.ledger.Tables.Builds, func() cas.Store { return s.blobs }), Log: c.Log.With("room", "cas")})
	return err
}

// build makes the rooms, from right to left.
func (s *Server) build(registry prometheus.Registerer) (err error) {
	c, t := s.cfg, s.ledger.Tables
	s.auth = auth.New(auth.Config{Store: t.Auth, Log: c.Log.With("room", "auth"), Now: c.Now, Hash: c.Hash})
	if s.tools, err = tools.New(tools.Config{Own: c.Data, Cache: filepath.Join(c.Data, "tools-read.json"), Now: c.Now, Log: c.Log.With("room", "tools"), Registry: registry}); err != nil {
		return err
	}
	if err := s.openCache(registry); err != nil {
		return err
	}
	blobs := reapi.New(reapi.Config{Store: s.tools.Store(s.blobs)})
	s.cache.faces = append(s.cache.faces, blobs)
	connect := func(ctx context.Context, link wire.Link, n fleet.Node) (fleet.Conn, error) {
		conn, err := remote.Connect(ctx, link, remote.Options{Name: "controller", Version: version.String(), Heartbeat: c.Heartbeat,
			Register: func(r grpc.ServiceRegistrar) { blobs.Register(r) }, Logger: c.Log.With("room", "wire", "node", n.Name)})
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	launchers, hub, err := launchers(c, s.credential, s.agents.options)
	if err != nil {
		return err
	}
	s.launchers = slices.Sorted(maps.Keys(launchers))
	set, err := monitors(c)
	if err != nil {
		return err
	}
	var judge limits
	judge.Store(set)
	s.roster, err = fleet.New(fleet.Config{Store: t.Nodes, Launchers: launchers, Connect: connect, Heartbeat: c.Heartbeat,
		Monitors: &judge, Record: recorder, Retention: retain.New, Prepare: setup.Prepare, CheckSetup: setup.Check, Hold: s.tools.Hold,
		LogDir: filepath.Join(c.Data, "nodes"), Log: c.Log.With("room", "fleet"), Registry: registry})
	if err != nil {
		return err
	}
	s.queue, err = queue.New(queue.Config{Ledger: t.Leases, Fleet: s.roster, Policy: c.Scheduling, TTL: s.ttl, Grace: c.LeaseGrace, HoldWindow: c.HoldWindow,
		Now: c.Now, Log: c.Log.With("room", "queue"), Registry: registry})
	if err != nil {
		return err
	}
	s.roster.Heed(s.queue)
	s.tools.Look(s.roster)
	s.runner, err = pipeline.New(pipeline.Config{Builds: t.Builds, Details: t.Builds, Store: t.Runs, Logs: s.logs, Queue: pipeline.QueueOf(s.queue),
		Fleet: s.roster, Steps: steps(s.blobs), Symbols: symbols(), LeaseTTL: c.LeaseTTL, URL: s.cfg.URL, Now: c.Now, Log: c.Log.With("room", "pipeline")})
	if err != nil {
		return err
	}
	if err := s.configure(launchers, &judge, registry); err != nil {
		return err
	}
	s.hub(hub)
	return s.listenForAgents(hub)
}

// sources says what changes on the page, and which room tells.
func (s *Server) sources() []source {
	return []source{
		{[]string{"builds", "jobs"}, s.runner.Subscribe},
		{[]string{"queue"}, s.queue.Subscribe},
		{[]string{"nodes"}, s.roster.Subscribe},
		{[]string{"nodes"}, s.tools.Subscribe},
	}
}

// hub keeps the inbound launcher for the WebSocket handler.
func (s *Server) hub(h *inbound.Hub) {
	s.connect = func(w http.ResponseWriter, r *http.Request, node string) {
		link, err := websocket.Accept(w, r)
		if err != nil {
			s.log.Info("agent's connection refused", "node", node, "peer", r.RemoteAddr, "error", err)
			return
		}
		if err := h.Deliver(r.Context(), fleet.NodeName(node), link); err != nil {
			s.log.Info("agent refused", "node", node, "peer", r.RemoteAddr, "error", err)
		}
	}
}

// front makes the one handler: page, API, agents, metrics.
func (s *Server) front(registry *prometheus.Registry) error {
	c, t := s.cfg, s.ledger.Tables
	mux := http.NewServeMux()
	url := func() string { return s.cfg.URL }
	watch := func() (<-chan string, func()) { return changes(s.sources()) }
	rest.New(mux, rest.Config{Auth: s.auth, Builds: t.Builds, Details: t.Builds, Runner: s.runner, Logs: s.logs, Queue: s.queue, Fleet: s.roster, CAS: s.blobs,
		Check: s.check, Backup: s.backup, Configuration: s.config, Tools: s.tools, Connect: s.connect, Refused: s.refused, Changes: watch, URL: url, Join: s.JoinCommand, Protocol: wire.Protocol, Now: c.Now, Log: c.Log.With("room", "rest")})
	err := web.New(mux, web.Config{Auth: s.auth, Builds: t.Builds, Details: t.Builds, Runner: s.runner, Logs: s.logs, Queue: s.queue, Fleet: s.roster,
		Changes: watch, URL: url, Secure: strings.HasPrefix(s.cfg.URL, "https://"), Launchers: s.launchers, Owner: s.owner, Join: s.JoinCommand,
		Allow: func(n fleet.NodeName) []string { return s.policy.Load().Allow[n] }, Now: c.Now, Log: c.Log.With("room", "web")})
	if err != nil {
		return err
	}
	for _, path := range []string{"/cas/", "/ac/", "/raw/", "/v8/artifacts/"} {
		mux.Handle(path, s.cacheHTTP())
	}
	s.agents.route(mux)
	s.handOut(mux)
	known := jenkins.New(mux, jenkins.Config{Auth: s.auth, Builds: t.Builds, Details: t.Builds, Runner: s.runner, Logs: s.logs, Queue: s.queue, Fleet: s.roster,
		CAS: s.blobs, URL: url, Now: c.Now, Log: c.Log.With("room", "jenkins")})
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", s.metrics(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	s.handler, err = under(s.cfg.URL, known(s.auth.Middleware(mux)))
	return err
}

// health says whether the controller works: its ledger answers.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if _, err := s.ledger.Tables.Auth.Users(r.Context()); err != nil {
		http.Error(w, "ledger: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// metrics are for who may read, and for a scraper on this machine.
func (s *Server) metrics(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
			if err := auth.Require(r.Context(), auth.Read); err != nil {
				http.Error(w, err.Error(), http.StatusUnauthorized)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// prepare makes the first admin, when there is none.
func (s *Server) prepare(ctx context.Context) (err error) {
	if s.cfg.Private {
		return nil
	}
	s.password, err = s.auth.Bootstrap(ctx)
	return err
}

// FirstPassword is the password of the admin that New made; "" when there were users already. It is not kept anywhere.
func (s *Server) FirstPassword() string { return s.password }

// URL is the address under which people and agents reach the controller.
func (s *Server) URL() string { return s.cfg.URL }

// Address is where the controller listens, as HOST:PORT.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Auth, Runner and Roster are the rooms that a program in the same process speaks to directly.
func (s *Server) Auth() *auth.Authority    { return s.auth }
func (s *Server) Runner() *pipeline.Runner { return s.runner }
func (s *Server) Roster() *fleet.Roster    { return s.roster }
func (s *Server) Queue() *queue.Queue      { return s.queue }
func (s *Server) Logs() *buildlog.Store    { return s.logs }
func (s *Server) Ledger() *sqlite.Ledger   { return s.ledger }
func (s *Server) Blobs() cas.Store         { return s.blobs }
func (s *Server) Tools() *tools.Service    { return s.tools }

// Run serves until ctx ends and returns when all has stopped and is closed.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	s.parts.Add("store", s.ledger.Run)
	s.parts.Add("logs", s.logs.Run)
	s.parts.Add("fleet", s.roster.Run)
	s.parts.Add("queue", s.queue.Run)
	s.parts.Add("nodes", s.nodes)
	s.parts.Add("pipeline", s.runner.Run)
	s.parts.Add("scheduling", s.scheduling)
	s.parts.Add("notify", s.notifier.Run)
	s.parts.Add("tools", s.tools.Run)
	if s.agents.listener != nil {
		s.parts.Add("agents", s.knowing(func(ctx context.Context) error { return s.agents.server.Serve(ctx, s.agents.listener) }))
	}
	if s.cache.listener != nil {
		s.parts.Add("cache", s.serveCache)
	}
	s.parts.Add("http", s.knowing(func(ctx context.Context) error { return serveHTTP(ctx, s.listener, s.handler, s.cfg.TLS, s.log) }))
	return s.parts.Run(ctx)
}

// knowing runs serve once the rooms know what the ledger holds: whoever calls earlier waits, instead of hearing that what they ask for
// does not exist.
func (s *Server) knowing(serve func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, loaded := range []<-chan struct{}{s.roster.Loaded(), s.queue.Loaded()} {
			select {
			case <-loaded:
			case <-ctx.Done():
				return nil
			}
		}
		return serve(ctx)
	}
}

// Close frees the port and the folder of a server that has not run, or has ended.
func (s *Server) Close() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.agents.listener != nil {
		s.agents.listener.Close()
	}
	s.cache.close()
	if s.logs != nil {
		if err := s.logs.Close(); err != nil {
			s.log.Warn("close the logs", "error", err)
		}
	}
	if s.blobs != nil {
		if err := s.blobs.Close(); err != nil {
			s.log.Warn("close the blobs", "error", err)
		}
	}
	if s.ledger != nil {
		if err := s.ledger.Close(); err != nil {
			s.log.Warn("close the ledger", "error", err)
		}
	}
}

// address derives how the controller is reached from where it listens.
func address(l net.Listener, secure bool) string {
	a := l.Addr().(*net.TCPAddr)
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		if name, err := os.Hostname(); err == nil && name != "" {
			host = name
		} else {
			host = "127.0.0.1"
		}
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, fmt.Sprint(a.Port)))
}
