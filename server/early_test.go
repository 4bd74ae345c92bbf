package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

// Who asks before the controller has read its ledger hears of what is in it, not that it is empty.
func TestEarlyQuestionsWaitForTheLedger(t *testing.T) {
	f := servertest.New(t)
	const nodes = 200
	for i := range nodes {
		if _, err := f.Client.CreateNode(f.Context(), api.NodeCreate{Name: fmt.Sprintf("n%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	f.Stop()
	s, err := server.New(context.Background(), f.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	conn, err := net.Dial("tcp", s.Address()) // it listens, and does not serve yet
	if err == nil {
		_, err = fmt.Fprintf(conn, "GET /api/v1/nodes/n%d HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", nodes-1, s.Address(), f.Token)
	}
	go func() { ended <- s.Run(ctx) }()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err != nil {
		t.Errorf("%s %s %v", resp.Status, body, err)
	}
}
