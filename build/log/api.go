package log

import "time"

// Line is one line of a log, as Range hands it out.
type Line struct {
	Number int64     `json:"number"` // from 1
	Offset int64     `json:"offset"` // of its first byte in the log
	Length int64     `json:"length"` // in bytes, its newline left out; more than len(Text) when the text was shortened
	Time   time.Time `json:"time"`   // when its first byte was written, UTC
	Stream string    `json:"stream"` // name of the stream that wrote its first byte
	Stage  string    `json:"stage,omitempty"`
	Text   string    `json:"text"` // without its newline; a line over Config.MaxLine is cut and ends in a marker
}

// StageRange is a run of whole lines that one stage wrote: First ≤ line < End. A stage whose lines alternate with those of a
// parallel one has many runs.
type StageRange struct {
	Stage string `json:"stage"` // "" is what no stage wrote
	First int64  `json:"first"`
	End   int64  `json:"end"`
}

// SearchOptions says how Search compares.
type SearchOptions struct {
	Regexp     bool  // the query is an RE2 expression; otherwise plain text
	IgnoreCase bool  // by Unicode's simple folding
	From       int64 // first line looked at; 0 is the first
	Limit      int   // matching lines handed out; 0 is 1,000
}

// Match is a line that Search found, and where its first match stands.
type Match struct {
	Line  Line `json:"line"`
	Start int  `json:"start"` // in bytes of Line.Text; -1 when the match stands in what MaxLine cut off
	End   int  `json:"end"`
}
