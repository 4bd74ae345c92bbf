package remote_test

import (
	"testing"
	"time"

	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

func TestAnAgentSaysThatItLeaves(t *testing.T) {
	conn, served := connect(t, &told{})
	select {
	case <-conn.Leaving():
		t.Fatal("it has not said so yet")
	default:
	}
	client := agentpb.NewRosterClient(served.Conn())
	for _, ms := range []int64{-1, 1 << 62} {
		if _, err := client.Leave(t.Context(), &agentpb.LeaveRequest{LimitMs: ms}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d ms: %v", ms, err)
		}
	}
	for range 2 { // a second time changes nothing
		if err := served.Leave(t.Context(), 200*365*24*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	<-conn.Leaving()
	if _, err := conn.Machine().Describe(t.Context()); err != nil {
		t.Errorf("the connection is still good: %v", err)
	}
	conn.Close()
	if err := served.Leave(t.Context(), time.Second); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a connection: %v", err)
	}
}
