package agenttest

import (
	"bytes"
	"strings"

	"github.com/outwork-build/outwork/agent"
)

// text is a script in the two languages that the suite speaks. In bat, TOOL calls the suite's tool; echo is off.
type text struct{ sh, bat string }

// both is a script that is the same in both.
func both(s string) text { return text{s, s} }

// Scripts that many tests use. Each prints up first.
func sleeper() text { return text{"echo up; sleep 600", "echo up\nTOOL sleep 600"} }

// stubborn cannot be asked to end.
func stubborn() text {
	return text{"#!/bin/sh\ntrap '' TERM; echo up; while :; do sleep 1; done", "TOOL stubborn"}
}

// with puts a script into a request.
func (b *bench) with(t text, r agent.StartRequest) agent.StartRequest {
	r.Script = []byte(t.sh)
	if b.bat {
		r.Interpreter = "bat"
		r.Script = []byte("@echo off\n" + strings.ReplaceAll(t.bat, "TOOL ", `"`+b.o.Tool+`" `+toolName+" ") + "\n")
	}
	return r
}

// plain is what a script has written, with the line ends that the suite expects.
func (b *bench) plain(out []byte) string {
	if b.bat {
		out = bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))
	}
	return string(out)
}

// needSh skips what a machine without sh has nothing like.
func (b *bench) needSh(what string) {
	b.Helper()
	if b.bat {
		b.Skip("the machine has no sh, and batch files know no " + what)
	}
}
