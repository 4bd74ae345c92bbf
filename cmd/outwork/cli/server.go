package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server"
)

// logFlags say how a long-lived verb reports on itself.
type logFlags struct{ level, format string }

func (l *logFlags) add(c *cobra.Command, level string) {
	c.Flags().StringVar(&l.level, "log-level", level, "debug, info, warn or error")
	c.Flags().StringVar(&l.format, "log-format", "text", "text or json")
}

func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, errUsage{fmt.Errorf("--log-level %q: expected debug, info, warn or error", l.level)}
	}
	o := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, errUsage{fmt.Errorf("--log-format %q: expected text or json", l.format)}
}

// defaultData is where a controller keeps its data when it is not told: the system's place for root, the user's otherwise.
func (e *env) defaultData() string {
	if d := e.getenv("OUTWORK_DATA"); d != "" {
		return d
	}
	if os.Geteuid() == 0 {
		return "/var/lib/outwork"
	}
	if d := e.getenv("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "outwork")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "outwork-data"
	}
	return filepath.Join(home, ".local", "share", "outwork")
}

func (e *env) serverCmd() *cobra.Command {
	var cfg server.Config
	var tls server.TLS
	var logs logFlags
	var cacheGiB int64
	var scheduling string
	c := &cobra.Command{
		Use: "server", Short: "Run the controller: page, API and agents on one port",
		Long: "Run the controller. Everything it keeps is in one data folder: the ledger (SQLite), logs, artifacts.\n" +
			"The first start prints the admin's password, once. Every start prints a command with which one agent can join.\n" +
			"SIGTERM or Ctrl-C stops it; running steps go on at their agents and are taken up again by the next start.",
		Example: "  outwork server --data /var/lib/outwork\n  outwork server --listen 127.0.0.1:9000 --executors 2\n" +
			"  outwork server --tls-cert ci.pem --tls-key ci.key --url https://ci.example.org:8080",
		Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := logs.logger(e.err)
			if err != nil {
				return err
			}
			if (tls.Cert == "") != (tls.Key == "") {
				return errUsage{errors.New("--tls-cert and --tls-key go together")}
			}
			if tls.Cert != "" {
				cfg.TLS = &tls
			}
			if cfg.Scheduling, err = readScheduling(scheduling); err != nil {
				return err
			}
			cfg.Log, cfg.CacheBytes = log, cacheGiB<<30
			s, err := server.New(c.Context(), cfg)
			if err != nil {
				return err
			}
			if err := e.greet(c.Context(), s); err != nil {
				s.Close()
				return err
			}
			defer e.onHangup(c.Context(), cfg.ConfigFile, s, log)()
			return s.Run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Data, "data", e.defaultData(), "folder of all that is kept (also $OUTWORK_DATA)")
	f.StringVar(&cfg.ConfigFile, "config", "", "the farm as a file: nodes, jobs, users, limits, notifications; applied at the start and at SIGHUP")
	f.StringVar(&cfg.Tools, "tools", e.getenv("OUTWORK_TOOLS_DIR"), "`folder` that is mirrored to the nodes as their tools, of folders OS-ARCH at its top only each node's own (also $OUTWORK_TOOLS_DIR)")
	f.StringVar(&cfg.Listen, "listen", first(e.getenv("OUTWORK_LISTEN"), ":8080"), "address of the one port (also $OUTWORK_LISTEN)")
	f.StringVar(&cfg.AgentListen, "agent-listen", e.getenv("OUTWORK_AGENT_LISTEN"), "address of a port for agents besides the one port, such as :50000, or :0 for any; without it there is none (also $OUTWORK_AGENT_LISTEN)")
	f.StringVar(&cfg.AgentsDir, "agents-dir", e.getenv("OUTWORK_AGENTS_DIR"), "`folder` of the agents to hand out, outwork-agent-OS-ARCH as make agents builds them (also $OUTWORK_AGENTS_DIR; default: agents-bin in the data folder, else agents beside this program)")
	f.StringVar(&cfg.URL, "url", e.getenv("OUTWORK_EXTERNAL_URL"), "address under which people and agents reach it (also $OUTWORK_EXTERNAL_URL; default: this host and the port)")
	f.StringVar(&tls.Cert, "tls-cert", "", "certificate in PEM; serves HTTPS")
	f.StringVar(&tls.Key, "tls-key", "", "its key in PEM")
	f.IntVar(&cfg.Executors, "executors", 0, "executors of the built-in node, this machine; builds that run there can read the controller's data")
	f.StringVar(&cfg.CacheListen, "cache-listen", e.getenv("OUTWORK_CACHE_LISTEN"), "address of a port for clients of the cache besides the one port, gRPC (Bazel) and HTTP, such as :9092 (also $OUTWORK_CACHE_LISTEN; default: none)")
	f.StringVar(&cfg.CacheAnonymous, "cache-anonymous", "", "what callers without a login may do with the cache: read, or write, which is everything")
	f.Int64Var(&cacheGiB, "cache-gib", 20, "disk space of stashes, artifacts and the cache, in GiB")
	f.DurationVar(&cfg.HoldWindow, "hold", 5*time.Minute, "how long a step whose agent is silent is waited for before it is LOST")
	f.DurationVar(&cfg.Heartbeat, "heartbeat", 10*time.Second, "how often controller and agents give a sign of life; two missed ones end the connection")
	f.DurationVar(&cfg.LeaseTTL, "lease-ttl", 30*time.Second, "how long an agent's work is its own after the last sign of life; retryable steps are then killed by their shims")
	f.DurationVar(&cfg.LeaseGrace, "lease-grace", 15*time.Second, "on top of that, until retryable work is given to another agent; at least 6s")
	f.StringVar(&scheduling, "scheduling", "", "`file` (YAML) of the policy by which work is given to nodes: pack, long, weights, limits, allow")
	logs.add(c, "info")
	return c
}

// readScheduling reads the policy's file; without one it is the default policy.
func readScheduling(file string) (queue.Policy, error) {
	if file == "" {
		return queue.Policy{}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return queue.Policy{}, fmt.Errorf("--scheduling: %w", err)
	}
	p, err := queue.ReadPolicy(text)
	if err != nil {
		return queue.Policy{}, errUsage{fmt.Errorf("--scheduling %s: %w", file, err)}
	}
	return p, nil
}

// greet tells a person how to begin.
func (e *env) greet(ctx context.Context, s *server.Server) error {
	plain, t, err := s.Auth().CreateJoinToken(ctx, "", "", 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Outwork is at %s\n", s.URL())
	if p := s.FirstPassword(); p != "" {
		fmt.Fprintf(e.out, "First admin:     admin, password %s (shown only now)\n", p)
	}
	if a := s.AgentAddress(); a != "" {
		fmt.Fprintf(e.out, "Port for agents: %s\n", a)
	}
	fmt.Fprintf(e.out, "To join an agent: %s (once, until %s)\n", s.JoinCommand(plain), t.Expires.Local().Format(time.TimeOnly))
	return nil
}
