package value

import "strings"

// Long is java.lang.Long. An int64 within 32 bits is java.lang.Integer, one outside is a Long too; steps get and give int64.
type Long int64

// Char is java.lang.Character. It equals a string of the same single character.
type Char rune

// GString is an interpolated string: its text is made each time it is asked for. Strings has one element more than Values.
// A Value that is a Callable stands for what it returns and must have been replaced before String is called.
type GString struct {
	Strings []string
	Values  []Value
}

// String joins the parts.
func (g *GString) String() string {
	var b strings.Builder
	for i, s := range g.Strings {
		b.WriteString(s)
		if i < len(g.Values) {
			b.WriteString(String(g.Values[i]))
		}
	}
	return b.String()
}

// Text returns the text of a string, a GString or a Char; ok false for anything else.
func Text(v Value) (s string, ok bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case *GString:
		return x.String(), true
	case Char:
		return string(rune(x)), true
	}
	return "", false
}

// Class is a class as a value: String, java.util.Date, int.
type Class struct{ Name string }

// Simple is the last segment of a class name.
func Simple(name string) string { return name[strings.LastIndexAny(name, ".$")+1:] }
