package cron

import (
	"slices"
	"strconv"
	"strings"
)

// field is what one of the five may hold.
type field struct {
	name     string
	low, top int
	hashTop  int      // the highest value of a bare H
	words    []string // names of the values from low on
}

// fields returns what the five hold. A bare H keeps to days that every month has, and counts Sunday once.
func fields() [5]field {
	return [5]field{
		{"minute", 0, 59, 59, nil},
		{"hour", 0, 23, 23, nil},
		{"day of month", 1, 31, 28, nil},
		{"month", 1, 12, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{"day of week", 0, 7, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
}

// alias returns the five fields that @name stands for.
func alias(name string) (string, bool) {
	switch name {
	case "@yearly", "@annually":
		return "H H H H *", true
	case "@monthly":
		return "H H H * *", true
	case "@weekly":
		return "H H * * H", true
	case "@daily":
		return "H H * * *", true
	case "@midnight":
		return "H H(0-2) * * *", true
	case "@hourly":
		return "H * * * *", true
	}
	return "", false
}

// word is a field's text and the character of the line at which it begins, from 0.
type word struct {
	text string
	at   int
}

func split(s string) (ws []word) {
	start := -1
	rs := []rune(s)
	for i, r := range append(rs, ' ') {
		switch blank := r == ' ' || r == '\t'; {
		case blank && start >= 0:
			ws = append(ws, word{string(rs[start:i]), start})
			start = -1
		case !blank && start < 0:
			start = i
		}
	}
	return ws
}

func parseLine(s string, at position, hash Hash) (set [5]uint64, err error) {
	words := split(s)
	if strings.HasPrefix(s, "@") {
		long, ok := alias(words[0].text)
		if !ok {
			return set, at.errorf(0, "%s is unknown: expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually", words[0].text)
		}
		if len(words) > 1 {
			return set, at.errorf(words[1].at, "expected nothing after %s", words[0].text)
		}
		words = split(long)
	}
	known := fields()
	if len(words) > len(known) {
		return set, at.errorf(words[5].at, "expected 5 fields (minute, hour, day of month, month, day of week), found %d", len(words))
	}
	for i, w := range words {
		p := parser{field: known[i], rest: []rune(w.text), word: w, at: at, hash: hash}
		if set[i], err = p.list(); err != nil {
			return set, err
		}
	}
	if n := len(words); n < len(known) {
		return set, at.errorf(len([]rune(s)), "expected the %s here: 5 fields (minute, hour, day of month, month, day of week), found %d", known[n].name, n)
	}
	if set[weekDay]&(1<<7) != 0 {
		set[weekDay] = set[weekDay]&^(1<<7) | 1
	}
	return set, nil
}

// parser reads one field.
type parser struct {
	field
	rest []rune
	word word
	at   position
	hash Hash
}

// errorf is an error back characters before what is read next.
func (p *parser) errorf(back int, format string, args ...any) error {
	read := len([]rune(p.word.text)) - len(p.rest)
	return p.at.errorf(p.word.at+read-back, format, args...)
}

func (p *parser) take(r rune) bool {
	if len(p.rest) == 0 || p.rest[0] != r {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) list() (set uint64, err error) {
	for {
		bits, err := p.term()
		if err != nil {
			return 0, err
		}
		set |= bits
		if len(p.rest) == 0 {
			return set, nil
		}
		if !p.take(',') {
			return 0, p.errorf(0, "unexpected %q in the %s", string(p.rest[0]), p.name)
		}
	}
}

func (p *parser) term() (uint64, error) {
	switch {
	case p.take('*'):
		step, _, err := p.step()
		return steps(p.low, p.top, step), err
	case len(p.rest) > 0 && p.rest[0] == 'H':
		p.take('H')
		return p.hashed()
	}
	a, err := p.value(false)
	if err != nil {
		return 0, err
	}
	if !p.take('-') {
		if len(p.rest) > 0 && p.rest[0] == '/' {
			return 0, p.errorf(0, "a step needs a range before it: %d-%d/…", a, p.top)
		}
		return 1 << a, nil
	}
	b, err := p.end(a)
	if err != nil {
		return 0, err
	}
	step, _, err := p.step()
	return steps(a, b, step), err
}

// end reads the end of a range that began with a.
func (p *parser) end(a int) (int, error) {
	before := len(p.rest)
	b, err := p.value(true)
	if err == nil && a > b {
		err = p.errorf(before-len(p.rest), "You mean %d-%d?", b, a)
	}
	return b, err
}

// hashed reads what follows an H. A step of 1 is none, as in Jenkins.
func (p *parser) hashed() (uint64, error) {
	a, b := p.low, p.hashTop
	if p.take('(') {
		var err error
		if a, err = p.value(false); err != nil {
			return 0, err
		}
		if !p.take('-') {
			return 0, p.errorf(0, "expected - in H(FROM-TO)")
		}
		if b, err = p.end(a); err != nil {
			return 0, err
		}
		if !p.take(')') {
			return 0, p.errorf(0, "expected ) after H(%d-%d", a, b)
		}
	}
	step, width, err := p.step()
	if err != nil {
		return 0, err
	}
	if n := b - a + 1; step > n {
		return 0, p.errorf(width, "%d is an invalid value. Must be within 1 and %d", step, n)
	}
	if step > 1 {
		return steps(a+p.hash(step), b, step), nil
	}
	return 1 << (a + p.hash(b-a+1)), nil
}

// steps sets every step-th bit of a to b.
func steps(a, b, step int) (set uint64) {
	for i := a; i <= b; i += max(step, 1) {
		set |= 1 << i
	}
	return set
}

// step reads "/N" if there is one; it is 1 otherwise. width counts the characters of N.
func (p *parser) step() (n, width int, err error) {
	if !p.take('/') {
		return 1, 0, nil
	}
	n, width, err = p.number()
	if err == nil && n == 0 {
		err = p.errorf(width, "step must be positive, but found 0")
	}
	return n, width, err
}

// value reads a number or a name that the field may hold. Sunday ends a range as 7.
func (p *parser) value(end bool) (int, error) {
	letters := 0
	for letters < len(p.rest) && letter(p.rest[letters]) {
		letters++
	}
	if letters > 0 {
		name := strings.ToLower(string(p.rest[:letters]))
		i := slices.Index(p.words, name)
		if i < 0 {
			return 0, p.errorf(0, "%q is no %s", string(p.rest[:letters]), p.name)
		}
		p.rest = p.rest[letters:]
		if end && name == "sun" {
			return 7, nil
		}
		return i + p.low, nil
	}
	n, width, err := p.number()
	if err == nil && (n < p.low || n > p.top) {
		err = p.errorf(width, "%d is an invalid value. Must be within %d and %d", n, p.low, p.top)
	}
	return n, err
}

func (p *parser) number() (n, width int, err error) {
	for width < len(p.rest) && '0' <= p.rest[width] && p.rest[width] <= '9' {
		width++
	}
	text := string(p.rest[:width])
	if width == 0 {
		found := "the end of the field"
		if len(p.rest) > 0 {
			found = strconv.Quote(string(p.rest[0]))
		}
		return 0, 0, p.errorf(0, "expected a number in the %s, found %s", p.name, found)
	}
	if n, err = strconv.Atoi(text); err != nil || n > 1<<20 {
		return 0, 0, p.errorf(0, "%s is an invalid value. Must be within %d and %d", text, p.low, p.top)
	}
	p.rest = p.rest[width:]
	return n, width, nil
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
