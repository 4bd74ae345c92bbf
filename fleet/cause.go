package fleet

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Kinds of an OfflineCause.
const (
	CauseUser      = "user"      // a person keeps it from taking work, or disconnected it
	CauseChannel   = "channel"   // the connection broke
	CauseLaunch    = "launch"    // the launcher could not bring the agent up
	CauseHeartbeat = "heartbeat" // connected, but silent
	CauseReplaced  = "replaced"  // its agent connected anew while the old connection seemed alive
	CauseLeave     = "leave"     // its agent was asked to end
	CauseNew       = "new"       // never connected since the controller started
)

// ByUser is the cause of a person's doing, worded as Jenkins does.
func ByUser(user, message string) OfflineCause {
	text := "Disconnected by " + user
	if message != "" {
		text += " : " + message
	}
	return OfflineCause{Kind: CauseUser, Text: text, By: user}
}

func neverConnected(now time.Time) *OfflineCause {
	return &OfflineCause{Kind: CauseNew, Text: "This agent has not connected yet.", When: now}
}

func launchFailed(err error, now time.Time) *OfflineCause {
	return &OfflineCause{Kind: CauseLaunch, When: now,
		Text: fmt.Sprintf("This agent is offline because Outwork failed to launch the agent process on it: %v", err)}
}

func leaving(now time.Time) *OfflineCause {
	return &OfflineCause{Kind: CauseLeave, Text: "The agent was asked to end: it finishes what it has and takes nothing new", When: now}
}

func hasLeft(now time.Time) *OfflineCause {
	return &OfflineCause{Kind: CauseLeave, Text: "The agent was asked to end, and has ended", When: now}
}

// notConnected says why an attempt to connect ended.
func notConnected(err error, now time.Time) *OfflineCause {
	if sick := new(*unwell); errors.As(err, sick) {
		return (*sick).cause
	}
	return launchFailed(err, now)
}

// errSilent ends a session whose agent left two heartbeats unanswered.
var errSilent = errors.New("two heartbeats were not answered")

// sessionEnded says why a connection that was up is not.
func sessionEnded(err error, now time.Time) *OfflineCause {
	sick := new(*unwell)
	switch {
	case errors.As(err, sick):
		return (*sick).cause
	case errors.Is(err, ErrReplaced):
		return &OfflineCause{Kind: CauseReplaced, Text: "The current peer is reconnecting", When: now}
	case errors.Is(err, errSilent):
		return &OfflineCause{Kind: CauseHeartbeat, Text: "Repeated ping attempts failed", When: now}
	case err == nil || errors.Is(err, io.EOF):
		return &OfflineCause{Kind: CauseChannel, Text: "Connection was broken: the agent closed it", When: now}
	}
	return &OfflineCause{Kind: CauseChannel, Text: fmt.Sprintf("Connection was broken: %v", err), When: now}
}
