package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/outwork-build/outwork/server"
)

// process is a server that runs beside the load.
type process struct {
	address string
	cmd     *exec.Cmd
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
}

// serve is the child: a controller whose cache anybody may use.
func serve(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := server.New(ctx, server.Config{Data: dir, Listen: "127.0.0.1:0", CacheListen: "127.0.0.1:0", CacheAnonymous: "write", Private: true})
	if err != nil {
		return err
	}
	fmt.Println(s.CacheAddress())
	return s.Run(ctx)
}

func startOurs(dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", filepath.Join(dir, "outwork"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("outwork says no address: %w", err)
	}
	return &process{strings.TrimSpace(line), cmd}, nil
}

const nginxConf = `worker_processes auto; daemon off; pid %[1]s/pid; error_log %[1]s/error.log; user root;
events { worker_connections 1024; }
http { access_log off; client_max_body_size 0; client_body_temp_path %[1]s/tmp; client_body_buffer_size 128k; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  server { listen %[2]s; location / { root %[1]s/dav; dav_methods PUT DELETE; create_full_put_path on; } } }
`

func startNginx(dir string) (*process, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, fmt.Errorf("nginx is missing: apt-get install nginx-light: %w", err)
		}
	}
	if dir, err = filepath.Abs(filepath.Join(dir, "nginx")); err != nil {
		return nil, err
	}
	for _, d := range []string{"tmp", "dav"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, address), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-c", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return &process{address, cmd}, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	cmd.Process.Kill()
	return nil, fmt.Errorf("nginx does not listen; see %s/error.log", dir)
}
