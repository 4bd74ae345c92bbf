// Command host is a Windows machine with WinRM, for tests: it serves winrmtest on loopback, and the commands are run by the cmd.exe of where
// it runs. Wine is such a place. It prints its address, and ends when its standard input does.
//
// Wine has not all programs that come with Windows, or has them without what they do. Under the name of one of them, host is what tests need of
// it: certutil -hashfile and -decode, findstr with words that are no expressions, curl -o.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/outwork-build/outwork/fleet/launch/winrm/winrmtest"
)

func main() {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(os.Args[0])), ".exe")
	program, standsIn := programs[name]
	if !standsIn {
		program = serve
	}
	if err := program(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, name+": "+err.Error())
		os.Exit(1)
	}
}

func serve(args []string) error {
	var c winrmtest.Config
	fs := flag.NewFlagSet("host", flag.ContinueOnError)
	fs.StringVar(&c.User, "user", "Administrator", "`user` that is let in")
	fs.StringVar(&c.Password, "password", "", "the user's `password`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c.Runner = cmd{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := winrmtest.New(c)
	h := &http.Server{Handler: s, ConnContext: s.ConnContext}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		h.Close()
	}()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// cmd runs commands in earnest.
type cmd struct{}

func (cmd) Run(ctx context.Context, line string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := shell(ctx, line)
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
	err := c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
