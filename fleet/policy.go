package fleet

import (
	"context"
	"io"
	"time"

	"github.com/outwork-build/outwork/agent"
)

// Retention decides how long a node stays connected. It is a pure function of what it is told: it starts nothing, and two
// calls with the same arguments answer the same. The kinds are the ones people know: always, demand, schedule, cloud, once.
type Retention interface {
	Decide(now time.Time, s Occupation) Stay
}

// Counter is a Retention to which it matters that work was given to the node, over a restart of the controller too: the leases that
// ended before it are counted by nobody. The roster keeps Node.Used for it.
type Counter interface {
	Retention
	Counts()
}

// RetentionSpec names a kind of retention and its settings. fleet/retain makes a Retention of it.
type RetentionSpec struct {
	Kind   string            `json:"kind,omitempty"` // "" is always
	Config map[string]string `json:"config,omitempty"`
}

// Occupation is what a retention strategy knows of its node.
type Occupation struct {
	Connected bool
	Since     time.Time // of Connected
	Busy      int       // executors with work
	IdleSince time.Time // zero while Busy is not 0; the time of the connection when there was no work since
	// WantedSince is since when work waits that this node could take and that no idle executor elsewhere will; zero when there
	// is none.
	WantedSince time.Time
	Done        int // leases that ended on this node since it was made; for a Counter at least one when it was in use before a restart
}

// Stay is the answer of a retention strategy.
type Stay struct {
	Connect bool          // the node should be connected, so connect it; false ends a connection at once, whatever runs on it
	Accept  bool          // it may be given new work
	Remove  bool          // it is of no more use: delete it (cloud nodes)
	Cause   *OfflineCause // why not, when Connect or Accept is false
	Again   time.Time     // always later than now: ask again then at the latest; zero: only after a change of the Occupation
}

// Monitor judges one quantity of a node. It is a pure function; the roster keeps what it returns and hands it back.
type Monitor interface {
	Name() string // disk, temp, swap, clock, response, architecture
	// Judge reads one sample and answers with what it makes of it. before is its own answer to the sample before, or the zero
	// Verdict. An error means that the sample has no such quantity (an older agent): the verdict before stays.
	Judge(before Verdict, s Sample, limit Limit) (Verdict, error)
}

// Sample is what a heartbeat brought.
type Sample struct {
	At        time.Time     // by the controller's clock
	RoundTrip time.Duration // of the heartbeat
	TimedOut  bool          // it was not answered in time; Vitals is then zero
	Offset    time.Duration // the machine's clock minus ours, estimated at the middle of the round trip
	Vitals    agent.Vitals
	OS, Arch  string
	Readings  map[string]Reading // the newest of the node's own monitors, by name; nil without any
}

// Action says what follows from a bad value.
type Action string

const (
	Ignore     Action = "ignore"     // measure and show, nothing else
	Warn       Action = "warn"       // tell people
	TakeOff    Action = "offline"    // give it no new work until the value is good again
	Disconnect Action = "disconnect" // end the connection; it is tried again with backoff
)

// Limit is the configuration of one monitor on one node. Zero fields take the monitor's defaults.
type Limit struct {
	Action Action `json:"action,omitempty"`
	// Bad is the threshold: bytes for disk, temp and swap (below it is bad), milliseconds for clock and response (above it is bad).
	// Response has no default: without one only time-outs are bad.
	Bad  int64 `json:"bad,omitempty"`
	Warn int64 `json:"warn,omitempty"` // shown as a warning between Warn and Bad
}

// Verdict is what a monitor makes of the newest sample.
type Verdict struct {
	Level  Level     `json:"level"`            // "" is good
	Value  float64   `json:"value"`            // in the unit of Limit; clock: positive is ahead of us
	Text   string    `json:"text"`             // for people: "1.2 GiB of 40 GiB free on /srv", "3 ms ahead"
	Cause  string    `json:"cause,omitempty"`  // why it takes the node off, in the words of the field; "" while Level is not bad
	Action Action    `json:"action,omitempty"` // what follows now: "" while good, Warn at most at a warning, the Limit's when bad
	Since  time.Time `json:"since,omitzero"`   // of Level
	Full   time.Time `json:"full,omitzero"`    // when a quantity that shrinks will reach its threshold, if it goes on like this
	State  []float64 `json:"state,omitempty"`  // what the monitor wants to remember for the next sample
}

// Judgement is what all monitors together make of a sample.
type Judgement struct {
	Verdicts map[string]Verdict // by the monitor's name; hand it to the next Judge
	Action   Action             // the worst that follows; "" when all is good
	By       string             // the monitor it follows from
	Cause    *OfflineCause      // when Action takes the node off
}

// Monitors judges by all monitors of a farm, within the farm's limits. fleet/monitor.Set is one. It keeps nothing and may be
// used concurrently.
type Monitors interface {
	// Judge reads one sample. before is the Verdicts of the node's last Judgement, nil at first; node is what differs on it
	// from the limits of the farm.
	Judge(before map[string]Verdict, s Sample, node map[string]Limit) Judgement
	// Check says what is wrong with limits. fault.Invalid.
	Check(limits map[string]Limit) error
}

// Quantity is something of which a Recorder keeps a day: a monitor's name, memory or load.
type Quantity string

// Point is what a quantity did in one stretch of time.
type Point struct {
	At  time.Time `json:"at"` // its beginning
	Min float64   `json:"min"`
	Avg float64   `json:"avg"`
	Max float64   `json:"max"`
}

// Recorder keeps a day of one node's samples. fleet/monitor.History is one. It may be used concurrently.
type Recorder interface {
	Add(s Sample)
	Series(q Quantity, since time.Time) []Point // oldest first
}

// Level says how good a value is.
type Level string

const (
	Good    Level = ""
	Warning Level = "warning"
	Bad     Level = "bad"
)

// Checker is a Launcher that can say, without connecting, what is wrong with a node's settings. fault.Invalid.
type Checker interface {
	Check(n Node) error
}

// Examiner is a Launcher that can look at the way to a machine hop by hop. It tells each hop as it is passed and ends at the
// first that fails. It changes nothing on the machine.
type Examiner interface {
	Examine(ctx context.Context, n Node, tell func(Hop))
}

// Remover is a Launcher that leaves something on a machine while its node is not connected, such as a service that was stopped. Remove
// takes it away: the roster calls it after the last launch of a node that was deleted. log is what the node's was. It may be called
// for a node of which the machine has nothing.
type Remover interface {
	Remove(ctx context.Context, n Node, log io.Writer) error
}

// Hop is one finding on the way to a machine.
type Hop struct {
	Name string        `json:"name"` // dns, tcp, tls, proxy, key, login, shell, disk, clock, agent
	OK   bool          `json:"ok"`
	Text string        `json:"text"`           // what was found: "10.0.0.7, 10.0.0.8"; what failed
	Hint string        `json:"hint,omitempty"` // what to do about a failure
	Took time.Duration `json:"took"`
}
