package text_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/outwork-build/outwork/wire/stdio"
	"github.com/outwork-build/outwork/wire/text"
)

// roleEnv makes the test binary an agent's end of a text link over its own stdin and stdout. The value is an address; it dials
// it and joins the link with that connection, so that a test holds both ends.
const roleEnv = "TEXT_TEST_RELAY"

func relay() bool {
	to := os.Getenv(roleEnv)
	if to == "" {
		return false
	}
	l, err := text.Announce(context.Background(), stdio.Own(), "the controller")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		io.Copy(c, l)
		c.Close()
	}()
	io.Copy(l, c)
	l.Close()
	return true
}
