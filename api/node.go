package api

import "time"

// Node is a machine's entry with what is known of it now. A NodeCreate can be made of it again.
type Node struct {
	Name           string               `json:"name"`
	Description    string               `json:"description,omitempty"`
	Executors      int                  `json:"executors"`
	Labels         []string             `json:"labels,omitempty"`
	Assigned       []string             `json:"assigned" doc:"All labels, implied ones included."`
	Mode           string               `json:"mode" enum:"normal,exclusive"`
	Launcher       string               `json:"launcher"`
	LauncherConfig map[string]string    `json:"launcherConfig,omitempty" doc:"The launcher's settings; only admins see them."`
	Launches       bool                 `json:"launches" doc:"The controller starts the agent; where it does not, the agent dials."`
	RemoteRoot     string               `json:"remoteRoot,omitempty"`
	Env            map[string]string    `json:"env,omitempty"`
	Tools          map[string]string    `json:"tools,omitempty" doc:"A tool's name to its folder on the machine."`
	ToolSync       *NodeTools           `json:"toolSync,omitempty" doc:"What is mirrored to it; absent when nothing is."`
	Retention      *NodeRetention       `json:"retention,omitempty"`
	Monitors       map[string]NodeLimit `json:"monitors,omitempty" doc:"By the monitor's name: what differs from the farm's limits."`
	Setup          *NodeSetup           `json:"setup,omitempty" doc:"What is done before its first use; only admins see it."`
	Probes         map[string]NodeProbe `json:"probes,omitempty" doc:"Monitors of its own, by name; only admins see them."`
	State          string               `json:"state" enum:"offline,connecting,online,suspended,draining"`
	Offline        *OfflineCause        `json:"offline,omitempty"`
	TakenOff       bool                 `json:"takenOff,omitempty" doc:"Somebody keeps it from taking work until it is put online (Jenkins: temporarilyOffline)."`
	Busy           []Executor           `json:"busy" doc:"Executors at work."`
	Version        string               `json:"version,omitempty"`
	OS             string               `json:"os,omitempty"`
	Arch           string               `json:"arch,omitempty"`
	Hostname       string               `json:"hostname,omitempty"`
	CPUs           int                  `json:"cpus,omitempty"`
	Agent          *Agent               `json:"agent,omitempty" doc:"The agent's process; absent before the first connection."`
	Health         []Health             `json:"health,omitempty" doc:"What the monitors make of the newest sample."`
	Session        uint64               `json:"session,omitempty" doc:"Counts the connections of this node."`
	Since          time.Time            `json:"since"`
	LastHeard      *time.Time           `json:"lastHeard,omitempty"`
	RoundTripMS    float64              `json:"roundTripMs,omitempty"`
}

// Agent is the program at the machine.
type Agent struct {
	PID    int      `json:"pid"`
	Root   string   `json:"root" doc:"Its folder."`
	Memory int64    `json:"memory,omitempty" doc:"Bytes it has resident; 0 is not known."`
	Shells []string `json:"shells,omitempty" doc:"Interpreters the machine has."`
	Path   string   `json:"path,omitempty" doc:"PATH of its steps."`
}

// Health is a monitor's finding.
type Health struct {
	Monitor string     `json:"monitor"`
	Level   string     `json:"level" enum:"good,warning,bad"`
	Value   float64    `json:"value" doc:"Bytes for disk, temp and swap; milliseconds for clock and response."`
	Text    string     `json:"text"`
	Action  string     `json:"action,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Full    *time.Time `json:"full,omitempty" doc:"When it will reach its limit, if it goes on like this."`
}

// NodeRetention says how long a node stays connected.
type NodeRetention struct {
	Kind   string            `json:"kind" doc:"always, demand, schedule, cloud or once."`
	Config map[string]string `json:"config,omitempty"`
}

// NodeSetup is what is done before a machine is used for the first time, and again when any of it has changed.
type NodeSetup struct {
	Files   string `json:"files,omitempty" doc:"Folder of the controller whose files are copied to the machine."`
	Prepare string `json:"prepare,omitempty" maxLength:"65536" doc:"Command that is run on the controller before the files are copied, as its user."`
	Command string `json:"command,omitempty" maxLength:"65536" doc:"Script that is run on the machine, in the folder with the files."`
	Timeout string `json:"timeout,omitempty" doc:"Of all of it, such as 10m; 30m unless said otherwise."`
}

// NodeProbe is a monitor of a node's own: a script that is run on the machine now and then.
type NodeProbe struct {
	Command  string `json:"command" maxLength:"65536" doc:"Script; it fails when it ends with another exit code than 0."`
	Interval string `json:"interval,omitempty" doc:"Between two starts, such as 30s; 1m unless said otherwise."`
	Value    string `json:"value,omitempty" doc:"Regular expression whose first group in the output is a number. Without one only the exit code counts."`
	Below    bool   `json:"below,omitempty" doc:"Values below the limits are bad, not those above."`
	Action   string `json:"action,omitempty" enum:"ignore,warn,offline,disconnect" doc:"offline unless said otherwise."`
	Bad      int64  `json:"bad,omitempty" doc:"In the value's unit."`
	Warn     int64  `json:"warn,omitempty"`
}

// NodeLimit is what differs on a node from the farm's limit of a monitor. Zero fields do not differ.
type NodeLimit struct {
	Action string `json:"action,omitempty" enum:"ignore,warn,offline,disconnect"`
	Bad    int64  `json:"bad,omitempty" doc:"Bytes (below it is bad) or milliseconds (above it is bad)."`
	Warn   int64  `json:"warn,omitempty"`
}

// OfflineCause says why a node takes no work.
type OfflineCause struct {
	Kind string    `json:"kind"`
	Text string    `json:"text"`
	By   string    `json:"by,omitempty"`
	When time.Time `json:"when"`
}

// Executor is a slot at work.
type Executor struct {
	Number int       `json:"number"`
	Item   string    `json:"item"`
	Job    string    `json:"job,omitempty"`
	Build  int       `json:"build,omitempty"`
	Title  string    `json:"title"`
	Since  time.Time `json:"since"`
}

// NodeCreate makes a node. With CopyFrom everything that is absent is taken from that node, but for whether it is offline.
type NodeCreate struct {
	Name           string                `json:"name" maxLength:"200"`
	CopyFrom       string                `json:"copyFrom,omitempty" doc:"A node to take what is absent from."`
	Description    *string               `json:"description,omitempty"`
	Executors      *int                  `json:"executors,omitempty" minimum:"0" maximum:"1000" doc:"1 unless said otherwise."`
	Labels         *[]string             `json:"labels,omitempty"`
	Mode           *string               `json:"mode,omitempty" enum:"normal,exclusive"`
	RemoteRoot     *string               `json:"remoteRoot,omitempty"`
	Env            *map[string]string    `json:"env,omitempty"`
	Tools          *map[string]string    `json:"tools,omitempty"`
	Launcher       *string               `json:"launcher,omitempty" doc:"inbound unless said otherwise; ssh, command."`
	LauncherConfig *map[string]string    `json:"launcherConfig,omitempty"`
	Retention      *NodeRetention        `json:"retention,omitempty"`
	Monitors       *map[string]NodeLimit `json:"monitors,omitempty"`
	Setup          *NodeSetup            `json:"setup,omitempty"`
	Probes         *map[string]NodeProbe `json:"probes,omitempty"`
	Offline        *string               `json:"offline,omitempty" maxLength:"1000" doc:"Make it without giving it work, for this reason."`
}

// NodeUpdate changes a node; absent fields stay. A launcher given without launcherConfig begins with no settings.
type NodeUpdate struct {
	Description    *string               `json:"description,omitempty"`
	Executors      *int                  `json:"executors,omitempty" minimum:"0" maximum:"1000"`
	Labels         *[]string             `json:"labels,omitempty"`
	Mode           *string               `json:"mode,omitempty" enum:"normal,exclusive"`
	RemoteRoot     *string               `json:"remoteRoot,omitempty" doc:"A change connects it anew."`
	Env            *map[string]string    `json:"env,omitempty"`
	Tools          *map[string]string    `json:"tools,omitempty"`
	Launcher       *string               `json:"launcher,omitempty" doc:"A change connects it anew."`
	LauncherConfig *map[string]string    `json:"launcherConfig,omitempty"`
	Retention      *NodeRetention        `json:"retention,omitempty"`
	Monitors       *map[string]NodeLimit `json:"monitors,omitempty"`
	Setup          *NodeSetup            `json:"setup,omitempty" doc:"One without anything in it takes it away. A change connects the node anew."`
	Probes         *map[string]NodeProbe `json:"probes,omitempty"`
}

// NodeOffline takes a node out of work.
type NodeOffline struct {
	Reason string `json:"reason,omitempty" maxLength:"1000"`
	Drain  bool   `json:"drain,omitempty" doc:"Say draining until running work has ended."`
}

// NodeDisconnect ends a node's connection until somebody reconnects it.
type NodeDisconnect struct {
	Reason string `json:"reason,omitempty" maxLength:"1000"`
}

// NodeOrder is one thing to do to many nodes: those that a label expression matches, those that are named, and all when neither is
// given is refused.
type NodeOrder struct {
	Verb   string   `json:"verb" enum:"offline,drain,online,disconnect,reconnect"`
	Where  string   `json:"where,omitempty" doc:"A label expression; besides labels it knows online, offline, suspended, draining, connecting and idle, as label state:NAME or plain where no label is called so."`
	Names  []string `json:"names,omitempty" doc:"Nodes by name, in place of where."`
	Reason string   `json:"reason,omitempty" maxLength:"1000"`
	DryRun bool     `json:"dryRun,omitempty" doc:"Only say which nodes match."`
}

// NodesOrdered is what came of a NodeOrder.
type NodesOrdered struct {
	Verb    string   `json:"verb"`
	Matched []string `json:"matched" doc:"Nodes that it is meant for, by name."`
	Done    []string `json:"done" doc:"Nodes that it was done to; none of a dry run."`
}

// NodeHop is one finding on the way to a machine.
type NodeHop struct {
	Name   string  `json:"name" doc:"dns, tcp, tls, proxy, key, login, shell, disk, clock, agent."`
	OK     bool    `json:"ok"`
	Text   string  `json:"text"`
	Hint   string  `json:"hint,omitempty" doc:"What to do about a failure."`
	TookMS float64 `json:"tookMs"`
}

// NodeHostKey is by what a host on the way to a machine is known, or asks to be.
type NodeHostKey struct {
	Hop         string    `json:"hop,omitempty" doc:"jump 1, jump 2, …; absent is the machine itself."`
	Address     string    `json:"address"`
	Algorithm   string    `json:"algorithm"`
	Fingerprint string    `json:"fingerprint" doc:"SHA256:…"`
	Before      string    `json:"before,omitempty" doc:"Fingerprint of the key that was approved before and that the host does not show any more."`
	Seen        time.Time `json:"seen" doc:"First."`
	Approved    bool      `json:"approved" doc:"The host is let in with it."`
}

// NodeApproval lets a host in with a key.
type NodeApproval struct {
	Fingerprint string `json:"fingerprint" maxLength:"100" doc:"Of the key that awaits approval, to be sure that it is the one that was looked at."`
}

// NodeLogin is how the controller logs in at a host on the way to a machine.
type NodeLogin struct {
	Hop     string   `json:"hop,omitempty" doc:"jump 1, jump 2, …; absent is the machine itself."`
	User    string   `json:"user"`
	Address string   `json:"address"`
	Lines   []string `json:"lines" doc:"What to put into the user's authorized_keys; none where it logs in by password."`
}

// Credential is a private key that the controller can read.
type Credential struct {
	Key         string `json:"key" doc:"file:PATH of the controller, or env:NAME."`
	Passphrase  string `json:"passphrase,omitempty" doc:"file:PATH or env:NAME of the key's passphrase."`
	Certificate string `json:"certificate,omitempty"`
}

// AuthorizedKeys are lines of authorized_keys.
type AuthorizedKeys struct {
	Lines []string `json:"lines"`
}

// NodeTest is the end of a node's self-test: a tiny step that went the way that a build's do.
type NodeTest struct {
	OK        bool     `json:"ok"`
	Text      string   `json:"text" doc:"What the step wrote, or what failed."`
	Workspace string   `json:"workspace,omitempty"`
	WaitedMS  float64  `json:"waitedMs" doc:"For an executor."`
	TookMS    float64  `json:"tookMs" doc:"From the executor to the end."`
	Labels    []string `json:"labels,omitempty" doc:"Labels that fit what was found on the machine, but for those that it has."`
	Executors int      `json:"executors,omitempty" doc:"What fits its CPUs."`
}

// NodeRecord is something that happened to a node.
type NodeRecord struct {
	At      time.Time     `json:"at"`
	State   string        `json:"state" doc:"That began."`
	Offline *OfflineCause `json:"offline,omitempty"`
}

// NodePoint is what a quantity did in one stretch of time.
type NodePoint struct {
	At  time.Time `json:"at"`
	Min float64   `json:"min"`
	Avg float64   `json:"avg"`
	Max float64   `json:"max"`
}
