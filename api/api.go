// Package api holds the resources of Outwork's HTTP API, as JSON shows them.
//
// They are what programs are promised: fields are added, never changed or taken away within /api/v1. Times are RFC 3339 in
// UTC; a time that has not come is absent. server/rest serves them and derives the OpenAPI document from them; api/client
// speaks them. api/agentpb is the protocol between controller and agents.
package api

import "time"

// Failure is the body of every answer that is not a success.
type Failure struct {
	Kind    string `json:"kind" doc:"Stable kind of the failure." enum:"internal,invalid,not-found,conflict,stale,unauthenticated,denied,unavailable,exhausted,incompatible,canceled"`
	Message string `json:"message" doc:"What was wrong, where, and what to do."`
	// Fields points at single fields of the request, when they are to blame.
	Fields []FieldError `json:"fields,omitempty"`
}

// FieldError is one field of a request that is not as it should be.
type FieldError struct {
	Field   string `json:"field" doc:"Path of the field, as in source.git.url."`
	Message string `json:"message"`
}

// Info says who answers.
type Info struct {
	Name     string    `json:"name" example:"outwork"`
	Version  string    `json:"version"`
	Protocol int       `json:"protocol" doc:"Agent protocol this controller speaks."`
	Started  time.Time `json:"started"`
	URL      string    `json:"url" doc:"Address under which people and agents reach it."`
}

// Login asks for a token with a user's password.
type Login struct {
	User     string `json:"user" minLength:"1" maxLength:"200"`
	Password string `json:"password" minLength:"1" maxLength:"1000"`
	Name     string `json:"name,omitempty" doc:"Name of the token, so that its owner can tell it from others." maxLength:"200"`
}

// Token is a credential of a user. Secret is shown once, when it is made.
type Token struct {
	ID       string     `json:"id"`
	Name     string     `json:"name,omitempty"`
	User     string     `json:"user"`
	Scopes   []string   `json:"scopes" doc:"What it may do: admin, write, read."`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"lastUsed,omitempty"`
	Secret   string     `json:"secret,omitempty"`
}

// TokenCreate asks for a token.
type TokenCreate struct {
	Name   string   `json:"name" minLength:"1" maxLength:"200"`
	Scopes []string `json:"scopes,omitempty" doc:"admin, write, read; none is read and write." maxItems:"3"`
	TTL    string   `json:"ttl,omitempty" doc:"How long it holds, as in 720h; empty is 90 days." example:"720h"`
}

// User is a person or a program that may log in.
type User struct {
	Name     string    `json:"name"`
	Role     string    `json:"role" enum:"admin,user,viewer"`
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"`
}

// UserCreate makes a user.
type UserCreate struct {
	Name     string `json:"name" minLength:"1" maxLength:"200"`
	Password string `json:"password" minLength:"8" maxLength:"1000"`
	Role     string `json:"role,omitempty" enum:"admin,user,viewer" doc:"Empty is user."`
}

// UserUpdate changes a user. What is not there stays as it is.
type UserUpdate struct {
	Role     *string `json:"role,omitempty" enum:"admin,user,viewer"`
	Disabled *bool   `json:"disabled,omitempty" doc:"A disabled user can do nothing, and neither can the user's tokens."`
}

// PasswordReset sets another's password.
type PasswordReset struct {
	New string `json:"new" minLength:"8" maxLength:"1000"`
}

// PasswordChange sets one's own password.
type PasswordChange struct {
	Old string `json:"old" maxLength:"1000"`
	New string `json:"new" minLength:"8" maxLength:"1000"`
}

// JoinTokenCreate asks for a one-use token with which one agent can join.
type JoinTokenCreate struct {
	TTL  string `json:"ttl,omitempty" doc:"How long it can be used; empty is 1h." example:"1h"`
	Node string `json:"node,omitempty" doc:"Only an agent of this name may use it; empty is any."`
}

// JoinToken is the answer: the secret and the command that uses it.
type JoinToken struct {
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
	Command string    `json:"command" example:"outwork agent --url https://ci.example.org --token owj_…"`
	Script  string    `json:"script,omitempty" doc:"The same for a machine that has a shell and curl, and no agent yet." example:"curl -fsS https://ci.example.org/agent.sh | sh -s -- --token owj_…"`
}

// Join is what an agent sends with its one-use token.
type Join struct {
	Token       string   `json:"token" maxLength:"500"`
	Name        string   `json:"name" minLength:"1" maxLength:"200"`
	Labels      []string `json:"labels,omitempty" maxItems:"200"`
	Executors   int      `json:"executors,omitempty" minimum:"0" maximum:"1000" doc:"0 is one for each CPU of the machine, which the agent says."`
	Mode        string   `json:"mode,omitempty" enum:"normal,exclusive"`
	Description string   `json:"description,omitempty" maxLength:"1000"`
}

// Joined is what it gets: its own credential, for ever or until the node is deleted.
type Joined struct {
	Name       string `json:"name"`
	Credential string `json:"credential"`
}

// Source says where a job's Jenkinsfile comes from: Script or Git.
type Source struct {
	Script string     `json:"script,omitempty" maxLength:"1048576" doc:"The Jenkinsfile's text."`
	Git    *GitSource `json:"git,omitempty"`
	Dir    string     `json:"dir,omitempty" readOnly:"true" doc:"Working tree, of a job of outwork run."`
}

// GitSource names a Jenkinsfile in a repository.
type GitSource struct {
	URL  string `json:"url" minLength:"1" maxLength:"2000"`
	Ref  string `json:"ref,omitempty" maxLength:"500" doc:"Branch, tag or commit; empty is the remote's HEAD."`
	Path string `json:"path,omitempty" maxLength:"1000" doc:"Of the Jenkinsfile; empty is Jenkinsfile."`
}

// Parameter is a declared parameter of a job.
type Parameter struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind" enum:"string,text,boolean,choice,password"`
	Default     string   `json:"default,omitempty"`
	Choices     []string `json:"choices,omitempty"`
	Description string   `json:"description,omitempty"`
}

// Job is what is to be built.
type Job struct {
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	Source      Source      `json:"source"`
	Disabled    bool        `json:"disabled,omitempty"`
	Priority    int         `json:"priority,omitempty"`
	Parameters  []Parameter `json:"parameters,omitempty" readOnly:"true" doc:"Learnt from the last run."`
	Created     time.Time   `json:"created" readOnly:"true"`
	LastBuild   *Build      `json:"lastBuild,omitempty" readOnly:"true"`
}

// JobCreate makes a job; JobUpdate's absent fields stay as they are.
type JobCreate struct {
	Name        string `json:"name" minLength:"1" maxLength:"1000"`
	Description string `json:"description,omitempty" maxLength:"10000"`
	Source      Source `json:"source"`
	Priority    int    `json:"priority,omitempty" minimum:"-100" maximum:"100"`
}

// JobUpdate changes a job.
type JobUpdate struct {
	Description *string `json:"description,omitempty" maxLength:"10000"`
	Source      *Source `json:"source,omitempty"`
	Disabled    *bool   `json:"disabled,omitempty"`
	Priority    *int    `json:"priority,omitempty" minimum:"-100" maximum:"100"`
}

// BuildCreate starts a build.
type BuildCreate struct {
	Parameters map[string]string `json:"parameters,omitempty"`
}

// Cause says who or what started a build.
type Cause struct {
	Kind string `json:"kind"`
	User string `json:"user,omitempty"`
	Text string `json:"text,omitempty"`
}

// Build is one numbered run of a job.
type Build struct {
	Job         string            `json:"job"`
	Number      int               `json:"number"`
	DisplayName string            `json:"displayName"`
	Description string            `json:"description,omitempty"`
	State       string            `json:"state" enum:"queued,running,finished"`
	Result      string            `json:"result,omitempty" enum:"SUCCESS,UNSTABLE,FAILURE,NOT_BUILT,ABORTED"`
	CauseKind   string            `json:"causeKind,omitempty" enum:"INFRA,LOST,USER" doc:"Set when the farm or a person, not the build's own work, decided the result."`
	Message     string            `json:"message,omitempty"`
	Cause       Cause             `json:"cause"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Accepted    time.Time         `json:"accepted"`
	Started     *time.Time        `json:"started,omitempty"`
	Ended       *time.Time        `json:"ended,omitempty"`
	DurationMS  int64             `json:"durationMs" doc:"From start to end, or until now."`
	URL         string            `json:"url"`
}

// Stage is one stage of a build. Stages form a tree by parent.
type Stage struct {
	ID      string     `json:"id"`
	Parent  string     `json:"parent,omitempty"`
	Name    string     `json:"name"`
	Kind    string     `json:"kind"`
	State   string     `json:"state"`
	Result  string     `json:"result,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Node    string     `json:"node,omitempty"`
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
}

// Artifact is a file that a build archived.
type Artifact struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Digest string `json:"digest"`
	Mode   string `json:"mode,omitempty" doc:"Permission bits as archived, in octal; not there when they are not known." example:"0755"`
	URL    string `json:"url"`
}

// LogLine is one line of a build's console log. Line numbers count from 1.
type LogLine struct {
	Number int64     `json:"number"`
	Offset int64     `json:"offset"`
	Time   time.Time `json:"time"`
	Stage  string    `json:"stage,omitempty"`
	Text   string    `json:"text"`
}

// LogPage is a stretch of a log.
type LogPage struct {
	Lines    []LogLine `json:"lines"`
	Total    int64     `json:"total" doc:"Lines there are now."`
	Size     int64     `json:"size" doc:"Bytes there are now."`
	Finished bool      `json:"finished"`
}

// LogText is a stretch of a log, as an event.
type LogText struct {
	Offset int64  `json:"offset" doc:"Byte of the log that the text begins with; the event's id is the byte after it."`
	Text   string `json:"text" doc:"Bytes that are no UTF-8 are shown as U+FFFD."`
}

// LogEnd is the last event of a log: its build has ended.
type LogEnd struct {
	Result    string `json:"result" doc:"SUCCESS, UNSTABLE, FAILURE, NOT_BUILT or ABORTED."`
	CauseKind string `json:"causeKind,omitempty" doc:"INFRA and LOST: the farm's doing; USER: somebody ended it; else the build's own."`
	Message   string `json:"message,omitempty"`
}

// QueueItem waits for an executor.
type QueueItem struct {
	ID       string    `json:"id"`
	Job      string    `json:"job"`
	Build    int       `json:"build"`
	Title    string    `json:"title"`
	Label    string    `json:"label"`
	Priority int       `json:"priority,omitempty"`
	Since    time.Time `json:"since"`
	Why      string    `json:"why" doc:"In one sentence, in the words that people of this field know."`
	Stuck    bool      `json:"stuck,omitempty" doc:"It waits longer than it should."`
}

// Explanation says why an item waits, node by node.
type Explanation struct {
	Item       QueueItem    `json:"item"`
	Summary    string       `json:"summary"`
	Position   int          `json:"position" doc:"Items that go before it, plus one."`
	Nodes      []NodeReason `json:"nodes"`
	Suggestion string       `json:"suggestion,omitempty"`
}

// NodeReason is why one node did not take the item.
type NodeReason struct {
	Node      string `json:"node"`
	Predicate string `json:"predicate"`
	Reason    string `json:"reason"`
}

// Check asks whether a Jenkinsfile is well formed; Checked is the answer.
type Check struct {
	Script string `json:"script" maxLength:"1048576"`
	Strict bool   `json:"strict,omitempty"`
}

// Checked lists what is wrong with a Jenkinsfile.
type Checked struct {
	OK       bool      `json:"ok"`
	Kind     string    `json:"kind" doc:"declarative or scripted."`
	Problems []Problem `json:"problems"`
}

// Problem is one finding. Line and Column count from 1.
type Problem struct {
	Severity string `json:"severity" enum:"error,warning"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Message  string `json:"message"`
	Source   string `json:"source,omitempty"`
}

// Event says that something changed, not what: read it again. Topics: jobs, builds, queue, nodes.
type Event struct {
	Topic string `json:"topic"`
}
