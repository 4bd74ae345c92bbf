package text

// Telnet's bytes. Source: RFC 854.
const (
	iac  = 255
	dont = 254
	will = 251
	sb   = 250
	se   = 240
)

// maxSub bounds a telnet subnegotiation: what looks like one and does not end is none.
const maxSub = 256

// telnet finds the telnet commands in a stream of bytes. The zero value is between two of them.
type telnet struct {
	state telnetState
	sub   int // bytes of the subnegotiation so far
}

type telnetState byte

const (
	outside telnetState = iota
	command             // after IAC
	option              // after IAC WILL, WONT, DO, DONT
	sub                 // after IAC SB
	subIAC              // after IAC within a subnegotiation
)

// takes reports whether b belongs to a command.
func (t *telnet) takes(b byte) bool {
	switch t.state {
	case command:
		switch {
		case b == sb:
			t.state, t.sub = sub, 0
		case b >= will && b <= dont:
			t.state = option
		default:
			t.state = outside
		}
		return b >= se
	case option:
		t.state = outside
		return true
	case sub, subIAC:
		ended := t.state == subIAC && b == se
		t.state = sub
		if b == iac {
			t.state = subIAC
		}
		if t.sub++; ended || t.sub > maxSub {
			t.state = outside
		}
		return true
	}
	if b == iac {
		t.state = command
		return true
	}
	return false
}

// printable returns the printable character that b is, without its eighth bit; blanks are none.
func printable(b byte, t *telnet) (c byte, ok bool) {
	if t.takes(b) {
		return 0, false
	}
	c = b & 0x7f
	return c, c > ' ' && c < 0x7f
}
