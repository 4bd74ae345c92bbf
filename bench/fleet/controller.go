package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	_ "net/http/pprof" // for -pprof
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/outwork-build/outwork/server"
)

// controller is this program as the controller. It prints its first password, if there is one, and then that it is ready.
func controller(args []string) error {
	fs := flag.NewFlagSet("controller", flag.ContinueOnError)
	var cfg server.Config
	identity, profiles := fs.String("identity", "", ""), fs.String("pprof", "", "")
	fs.StringVar(&cfg.Data, "data", "", "")
	fs.StringVar(&cfg.Listen, "listen", "", "")
	fs.StringVar(&cfg.AgentListen, "agent-listen", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cfg.TLS = &server.TLS{Cert: *identity, Key: *identity}
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // the end of who started it
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	s, err := server.New(ctx, cfg)
	if err != nil {
		return err
	}
	if *profiles != "" {
		go func() { fmt.Fprintln(os.Stderr, http.ListenAndServe(*profiles, nil)) }()
	}
	fmt.Printf("password %s\nready\n", s.FirstPassword())
	return s.Run(ctx)
}

// child is the controller's process.
type child struct {
	cmd      *exec.Cmd
	password string
}

// start starts the controller and waits until it listens.
func (f *farm) start() (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, "controller", "-data", f.dir+"/data", "-listen", f.pages, "-agent-listen", f.port, "-identity", f.dir+"/identity.pem", "-pprof", f.pprof)}
	c.cmd.Stderr = os.Stderr
	if _, err := c.cmd.StdinPipe(); err != nil { // open until this process ends
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if word, ok := strings.CutPrefix(lines.Text(), "password "); ok {
			c.password = word
		}
		if lines.Text() == "ready" {
			return c, nil
		}
	}
	return nil, fmt.Errorf("the controller did not start: %w", c.cmd.Wait())
}

// kill ends it as a crash does.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func (c *child) pid() int { return c.cmd.Process.Pid }
