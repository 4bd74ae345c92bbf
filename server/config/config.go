// Package config is a farm as a file: nodes, jobs, users, limits and notifications, written in YAML and kept with the sources.
//
// Parse reads a file strictly and says everything that is wrong with it at once, with line and column. A Manager compares a
// Document with the farm (Plan), makes the farm like it (Apply), undoes the last Apply (Undo), and writes the farm down
// (Export): applying what was exported changes nothing. Nothing is applied when anything is wrong, and a failure half-way, a
// crash included, is taken back.
//
// What is not in the file is not touched, unless the file made it: then it goes when it goes from the file.
package config

import (
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/secret"
	"github.com/outwork-build/outwork/server/notify"
	"github.com/outwork-build/outwork/server/tools"
)

// Version is the schema's. A file says which it was written for.
const Version = 1

// maxText bounds a file, in bytes.
const maxText = 1 << 20

// Document is what a file says. Lists are in the file's order.
type Document struct {
	Farm   Farm
	Notify notify.Settings
	Tools  []tools.Entry // what is mirrored to the nodes
	Nodes  []fleet.Node  // Offline and Created are no configuration
	Jobs   []Job
	Users  []User
}

// Farm holds for the whole farm.
type Farm struct {
	Monitors map[string]fleet.Limit `json:"monitors,omitempty"` // what differs from the monitors' own limits
	// Scheduling is how work is given to nodes; nil leaves that to the controller's own settings.
	Scheduling *queue.Policy `json:"scheduling,omitempty"`
}

// Job is a job as configured. What its Jenkinsfile declares (parameters, triggers) is not repeated here.
type Job struct {
	Name        build.JobName
	Description string
	Priority    int
	Disabled    bool
	Source      build.Source // Script or Git
}

// User is a user without the password.
type User struct {
	Name     string
	Role     string // admin, user, viewer
	Disabled bool
	Password secret.Ref // of a user that is made; later it is the user's own
}

// kinds of what a file manages.
const (
	kindNode = "node"
	kindJob  = "job"
	kindUser = "user"
)
