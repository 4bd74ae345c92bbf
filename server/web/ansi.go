package web

import (
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// ansi turns one line of a log into HTML: text is escaped, SGR colours become spans, every other control sequence is dropped.
// Source: ECMA-48, 8.3.117 (SGR) and 5.4 (control sequences). It never fails: what is no sequence is text.
func ansi(line string) template.HTML {
	if !strings.ContainsAny(line, "\x1b\r\x00\x07\b\x9b") {
		return template.HTML(template.HTMLEscapeString(line))
	}
	if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 { // a progress line: what was written last is seen
		line = line[i+1:]
	}
	var b strings.Builder
	var st style
	open := false
	text := func(s string) {
		s = strings.Map(func(r rune) rune {
			if (r < ' ' && r != '\t') || r == 0x7f || (r >= 0x80 && r < 0xa0) {
				return -1
			}
			return r
		}, s)
		if s == "" {
			return
		}
		if c := st.classes(); c != "" {
			b.WriteString(`<span class="` + c + `">`)
			open = true
		}
		b.WriteString(template.HTMLEscapeString(s))
		if open {
			b.WriteString("</span>")
			open = false
		}
	}
	for line != "" {
		i := strings.IndexByte(line, 0x1b)
		if i < 0 {
			text(line)
			break
		}
		text(line[:i])
		var params string
		var final byte
		params, final, line = sequence(line[i+1:])
		if final == 'm' {
			st.apply(params)
		}
	}
	return template.HTML(b.String())
}

// sequence reads what follows an ESC and returns a CSI's parameters and final byte (0 when it was something else).
func sequence(s string) (params string, final byte, rest string) {
	if s == "" {
		return "", 0, ""
	}
	switch s[0] {
	case '[':
		for i := 1; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return s[1:i], s[i], s[i+1:]
			}
			if s[i] < 0x20 {
				return "", 0, s[i:]
			}
		}
		return "", 0, ""
	case ']', 'P', '_', '^', 'X': // strings: to BEL or ST
		for i := 1; i < len(s); i++ {
			if s[i] == 0x07 {
				return "", 0, s[i+1:]
			}
			if s[i] == 0x1b {
				return "", 0, strings.TrimPrefix(s[i+1:], `\`)
			}
		}
		return "", 0, ""
	case '(', ')', '#', ' ':
		return "", 0, s[min(2, len(s)):]
	}
	return "", 0, s[1:]
}

type style struct {
	fg, bg                     int // 0 is the default, 1 to 16 are colours
	bold, faint, italic, under bool
}

func (s *style) apply(params string) {
	fields := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(fields) == 0 {
		*s = style{}
	}
	for i := 0; i < len(fields); i++ {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return
		}
		switch {
		case n == 0:
			*s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 3:
			s.italic = true
		case n == 4:
			s.under = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 23:
			s.italic = false
		case n == 24:
			s.under = false
		case n >= 30 && n <= 37:
			s.fg = n - 29
		case n >= 90 && n <= 97:
			s.fg = n - 81
		case n == 39:
			s.fg = 0
		case n >= 40 && n <= 47:
			s.bg = n - 39
		case n >= 100 && n <= 107:
			s.bg = n - 91
		case n == 49:
			s.bg = 0
		case n == 38 || n == 48: // 256 colours and true colour: the first 16 are kept
			if i+2 < len(fields) && fields[i+1] == "5" {
				if c, err := strconv.Atoi(fields[i+2]); err == nil && c >= 0 && c < 16 {
					if n == 38 {
						s.fg = c + 1
					} else {
						s.bg = c + 1
					}
				}
				i += 2
			} else {
				i += 4
			}
		}
	}
}

func (s style) classes() string {
	var c []string
	if s.fg > 0 {
		c = append(c, "f"+strconv.Itoa(s.fg))
	}
	if s.bg > 0 {
		c = append(c, "b"+strconv.Itoa(s.bg))
	}
	for name, on := range map[string]bool{"bold": s.bold, "faint": s.faint, "italic": s.italic, "under": s.under} {
		if on {
			c = append(c, name)
		}
	}
	if len(c) > 1 {
		slices.Sort(c)
	}
	return strings.Join(c, " ")
}
