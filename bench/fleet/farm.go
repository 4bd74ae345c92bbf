package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/outwork-build/outwork/agent/serve"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/bench/proc"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/wire/tcp"
)

// farm is a controller and its agents.
type farm struct {
	plan
	dir         string
	pages, port string // HOST:PORT
	pin         tcp.Pin
	ctl         *child
	client      *client.Client
	http        *http.Client
	token       string
	machines    *machines
	agents      sync.WaitGroup
	stop        context.CancelFunc
}

func open(ctx context.Context, p plan) (_ *farm, err error) {
	f := &farm{plan: p, machines: newMachines()}
	if f.dir, err = os.MkdirTemp(p.data, "outwork-fleet-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if _, f.pin, err = tcp.Identity(f.dir); err != nil {
		return nil, err
	}
	for _, address := range []*string{&f.pages, &f.port} {
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	if f.ctl, err = f.start(); err != nil {
		return nil, err
	}
	f.http = &http.Client{Transport: &http.Transport{TLSClientConfig: f.pin.Only(&tls.Config{})}}
	anonymous, err := client.New(f.address(), "", f.http)
	if err != nil {
		return nil, err
	}
	tok, err := anonymous.Login(ctx, api.Login{User: "admin", Password: f.ctl.password})
	if err != nil {
		return nil, err
	}
	f.token = tok.Secret
	f.client, err = client.New(f.address(), f.token, f.http)
	return f, err
}

func (f *farm) address() string { return "https://" + f.pages }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// close ends everything and removes the data.
func (f *farm) close() {
	if f.stop != nil {
		f.stop()
		f.agents.Wait()
	}
	if f.ctl != nil {
		f.ctl.kill()
	}
	os.RemoveAll(f.dir)
}

// join brings all agents up.
func (f *farm) join(ctx context.Context) error {
	line("memory of the controller without agents", mib(f.memory()), 0)
	agents, stop := context.WithCancel(context.Background())
	f.stop = stop
	start := time.Now()
	for i := range f.plan.agents {
		tok, err := f.client.CreateJoinToken(ctx, api.JoinTokenCreate{})
		if err != nil {
			return err
		}
		cfg := serve.Config{URL: f.address(), Pin: string(f.pin), Token: tok.Secret, Name: fmt.Sprintf("n%04d", i), Root: filepath.Join(f.dir, "agents", fmt.Sprint(i)),
			Labels: []string{"linux", fmt.Sprintf("g%d", i%f.labels)}, Executors: 1, Version: "bench"}
		if i%2 == 0 {
			cfg.TCP, cfg.Pin = true, "" // it takes the key that the HTTP port tells of
			cfg.TLS = f.pin.Only(&tls.Config{})
		}
		cfg.Machine = func(serve.Config, cas.Store) (serve.Machine, error) { return f.machines.machine(cfg.Name), nil }
		f.agents.Go(func() {
			if err := serve.Run(agents, cfg); err != nil {
				fmt.Fprintf(os.Stderr, "agent %s: %v\n", cfg.Name, err)
			}
		})
	}
	if _, err := f.online(ctx); err != nil {
		return err
	}
	line("all joined, one by one, and online after", time.Since(start).Round(10*time.Millisecond).String(), 0)
	return nil
}

// online waits until all agents are, and says how long the page of the nodes took to answer meanwhile, at most.
func (f *farm) online(ctx context.Context) (page time.Duration, err error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	late := time.After(5 * time.Minute)
	for {
		took, err := f.page(ctx)
		if err != nil {
			return page, err
		}
		page = max(page, took)
		nodes, err := f.client.Nodes(ctx)
		if err != nil {
			return page, err
		}
		n := 0
		for _, node := range nodes {
			if node.State == "online" {
				n++
			}
		}
		if n == f.plan.agents {
			return page, nil
		}
		select {
		case <-tick.C:
		case <-late:
			return page, fmt.Errorf("%d of %d agents are online after 5 min", n, f.plan.agents)
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
}

// page fetches the page that people open first.
func (f *farm) page(ctx context.Context) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.address()+"/jobs", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	start := time.Now()
	resp, err := f.http.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the page answers %s", resp.Status)
	}
	return time.Since(start), nil
}

// memory is what the controller has.
func (f *farm) memory() int64 { return proc.Memory(f.ctl.pid(), "VmRSS") }

// cpu is what the controller has used.
func (f *farm) cpu() time.Duration {
	for _, p := range proc.Tree() {
		if p.PID == f.ctl.pid() {
			return p.CPU
		}
	}
	return 0
}
