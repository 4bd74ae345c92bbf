package api

import "time"

// NodeTools is what is known of the tools that are mirrored to a node.
type NodeTools struct {
	State    string     `json:"state" enum:"waiting,syncing,synced,failed"`
	Path     string     `json:"path,omitempty" doc:"Of the tools on the machine."`
	Root     string     `json:"root,omitempty" doc:"Digest of the tree that it has, or should have."`
	Files    int        `json:"files,omitempty" doc:"Of the tree."`
	Bytes    int64      `json:"bytes,omitempty"`
	Fetched  int64      `json:"fetched,omitempty" doc:"Files that the last sync moved."`
	Moved    int64      `json:"moved,omitempty" doc:"Bytes of them."`
	Changed  bool       `json:"changed,omitempty" doc:"The last sync changed something."`
	TookMS   float64    `json:"tookMs,omitempty"`
	At       *time.Time `json:"at,omitempty" doc:"Of the last sync that succeeded."`
	Error    string     `json:"error,omitempty" doc:"Why the last did not."`
	Warnings []string   `json:"warnings,omitempty" doc:"What the tree lacks, and why."`
}

// ToolsSync asks for a sync of nodes: those that a label expression matches, those that are named, or all.
type ToolsSync struct {
	Where string   `json:"where,omitempty" doc:"A label expression, which also knows states."`
	Names []string `json:"names,omitempty"`
}

// NodeSynced is what came of a node's sync.
type NodeSynced struct {
	Node  string     `json:"node"`
	Tools *NodeTools `json:"tools,omitempty" doc:"Absent when nothing is mirrored to it."`
}

// Tools is a folder of the controller that is mirrored to nodes, with what was found in it last.
type Tools struct {
	Name     string            `json:"name"`
	From     string            `json:"from"`
	To       string            `json:"to,omitempty" doc:"Folder below a node's tools; absent is the tools themselves."`
	Select   string            `json:"select,omitempty" doc:"Label expression of the nodes that get it; absent is all."`
	Native   string            `json:"native,omitempty" doc:"Names of the folders of which a node gets its own: {os}-{arch}."`
	Folders  map[string]string `json:"folders,omitempty" doc:"Such folders by name, with the label expressions of their nodes."`
	Exclude  []string          `json:"exclude,omitempty"`
	Keep     bool              `json:"keep,omitempty" doc:"What is on a node and not here stays."`
	Required bool              `json:"required,omitempty" doc:"A node without it takes no work."`
	Files    int               `json:"files"`
	Bytes    int64             `json:"bytes"`
	Read     int               `json:"read" doc:"Files whose bytes the last look had to read."`
	Looked   *time.Time        `json:"looked,omitempty"`
	TookMS   float64           `json:"tookMs,omitempty"`
	Error    string            `json:"error,omitempty" doc:"Why the last look failed; nothing is changed on any node then."`
	Problems []string          `json:"problems,omitempty" doc:"What is left out, and why."`
}
