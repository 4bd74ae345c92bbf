package api

import "time"

// ConfigText is a farm's configuration as a file of YAML; File is what its errors call it.
type ConfigText struct {
	File string `json:"file,omitempty" maxLength:"1000"`
	Text string `json:"text" maxLength:"1048576"`
}

// ConfigPlan is what an apply would do, or did.
type ConfigPlan struct {
	Changes []ConfigChange `json:"changes"`
}

// ConfigChange is one thing that is made, changed or taken away.
type ConfigChange struct {
	Kind   string        `json:"kind" enum:"node,job,user,farm,scheduling,notify,tools"`
	Name   string        `json:"name,omitempty"`
	Action string        `json:"action" enum:"create,change,delete,disable"`
	Note   string        `json:"note,omitempty" doc:"Why it is this action, where that is not plain."`
	Fields []ConfigField `json:"fields,omitempty"`
}

// ConfigField is one value that differs. An absent value is empty.
type ConfigField struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// ConfigState says where the configuration came from and what it looks after.
type ConfigState struct {
	File    string          `json:"file,omitempty" doc:"The file that the controller was started with, or that was applied last."`
	Applied *time.Time      `json:"applied,omitempty"`
	By      string          `json:"by,omitempty"`
	Undo    bool            `json:"undo" doc:"Whether the last apply can be undone."`
	Managed []ConfigManaged `json:"managed"`
}

// ConfigManaged is one thing that the file looks after.
type ConfigManaged struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Made bool   `json:"made" doc:"Whether the file made it: only then it goes when it goes from the file."`
}
