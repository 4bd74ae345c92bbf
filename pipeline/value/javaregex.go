package value

import "strings"

var posix = map[string]string{
	"Lower": "a-z", "Upper": "A-Z", "ASCII": `\x00-\x7F`, "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
	"Punct": `!-/:-@\[-` + "`" + `{-~`, "Graph": "!-~", "Print": " -~", "Blank": ` \t`, "Cntrl": `\x00-\x1F\x7F`,
	"XDigit": "0-9a-fA-F", "Space": ` \t\n\x0B\f\r`,
	"IsAlphabetic": `\p{L}`, "IsDigit": `\p{Nd}`, "IsLetter": `\p{L}`, "javaLetterOrDigit": `\p{L}\p{Nd}`, "L": `\p{L}`,
}

var short = map[byte]string{'d': "0-9", 'w': "a-zA-Z_0-9", 's': ` \t\n\x0B\f\r`, 'h': ` \t\xA0`}

// fromJava rewrites a Java pattern for the engine, which speaks .NET: \d, \w and \s are ASCII in Java, \Q…\E quotes, POSIX classes
// have other names, a quantifier with + after it is possessive, && intersects classes.
func fromJava(s string) string {
	var b strings.Builder
	lastAtom := 0 // where the last atom starts in b, for possessive quantifiers
	var open []int
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			lastAtom = b.Len()
			i = escape(&b, s, i, false)
		case c == '[':
			lastAtom = b.Len()
			i = class(&b, s, i)
		case c == '(':
			open = append(open, b.Len())
			b.WriteByte(c)
			i++
		case c == ')':
			if n := len(open); n > 0 {
				lastAtom = open[n-1]
				open = open[:n-1]
			}
			b.WriteByte(c)
			i++
		case strings.IndexByte("*+?}", c) >= 0 && i+1 < len(s) && s[i+1] == '+' && (c != '}' || quantifier(b.String()[lastAtom:])):
			atom := b.String()[lastAtom:] + string(c)
			head := b.String()[:lastAtom]
			b.Reset()
			b.WriteString(head + "(?>" + atom + ")")
			i += 2
		default:
			if strings.IndexByte("*+?{}|,^$0123456789", c) < 0 || (c >= '0' && c <= '9' && !inBraces(b.String())) {
				lastAtom = b.Len()
			}
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

func inBraces(s string) bool   { return strings.LastIndexByte(s, '{') > strings.LastIndexByte(s, '}') }
func quantifier(s string) bool { return strings.Contains(s, "{") }

// escape writes the escape at s[i] and returns the index after it.
func escape(b *strings.Builder, s string, i int, inClass bool) int {
	c := s[i+1]
	set := func(body string, negated bool) {
		switch {
		case inClass && !negated:
			b.WriteString(body)
		case negated:
			b.WriteString("[^" + body + "]")
		default:
			b.WriteString("[" + body + "]")
		}
	}
	switch {
	case c == 'Q':
		end := strings.Index(s[i+2:], `\E`)
		quoted, next := s[i+2:], len(s)
		if end >= 0 {
			quoted, next = s[i+2:i+2+end], i+2+end+2
		}
		b.WriteString(QuoteRegex(quoted))
		return next
	case short[c] != "":
		set(short[c], false)
		return i + 2
	case !inClass && short[c|0x20] != "" && c >= 'A' && c <= 'Z':
		set(short[c|0x20], true)
		return i + 2
	case c == 'R' && !inClass:
		b.WriteString(`(?:\r\n|[\n\x0B\f\r\x85\u2028\u2029])`)
		return i + 2
	case (c == 'p' || c == 'P') && i+2 < len(s) && s[i+2] == '{':
		if end := strings.IndexByte(s[i:], '}'); end > 0 {
			if body, ok := posix[s[i+3:i+end]]; ok && (c == 'p' || !inClass) {
				set(body, c == 'P')
				return i + end + 1
			}
		}
	}
	b.WriteString(s[i : i+2])
	return i + 2
}

// class writes the character class that starts at s[i], and returns the index after it.
func class(b *strings.Builder, s string, i int) int {
	b.WriteByte('[')
	i++
	if i < len(s) && s[i] == '^' {
		b.WriteByte('^')
		i++
	}
	first := true
	for i < len(s) {
		switch c := s[i]; {
		case c == ']' && !first:
			b.WriteByte(c)
			return i + 1
		case c == '\\' && i+1 < len(s):
			i = escape(b, s, i, true)
		case strings.HasPrefix(s[i:], "&&[^"):
			b.WriteString("-")
			var inner strings.Builder
			end := class(&inner, s, i+2)
			b.WriteString("[" + strings.TrimPrefix(inner.String(), "[^"))
			i = end
		case c == '[':
			var inner strings.Builder
			end := class(&inner, s, i)
			b.WriteString(strings.TrimSuffix(strings.TrimPrefix(inner.String(), "["), "]"))
			i = end
		default:
			b.WriteByte(c)
			i++
		}
		first = false
	}
	return i
}

// QuoteRegex makes a pattern that matches a text itself.
func QuoteRegex(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$#- `+"\t\n\r\f", r) {
			b.WriteByte('\\')
			switch r {
			case '\n':
				r = 'n'
			case '\t':
				r = 't'
			case '\r':
				r = 'r'
			case '\f':
				r = 'f'
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}
