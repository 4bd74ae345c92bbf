package recipe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/outwork-build/outwork/internal/fault"
)

// Param is a parameter of a template.
type Param struct {
	Name     string
	Kind     string // string, int or bool
	Default  string
	Required bool // it has no default
	Choices  []string
	Min, Max int // of an int
	Help     string
}

// Check returns a value in its usual form: yes and true are one.
func (p Param) Check(v string) (string, error) {
	if err := checkValue(p.Name, v); err != nil {
		return "", err
	}
	switch p.Kind {
	case "bool":
		switch strings.ToLower(v) {
		case "true", "yes", "on", "1":
			return "true", nil
		case "false", "no", "off", "0":
			return "false", nil
		}
		return "", fault.New(fault.Invalid, "parameter %s: %q is not one of true, false", p.Name, v)
	case "int":
		n, err := strconv.Atoi(v)
		if err != nil {
			return "", fault.New(fault.Invalid, "parameter %s: %q is no whole number", p.Name, v)
		}
		if n < p.Min || n > p.Max {
			return "", fault.New(fault.Invalid, "parameter %s: %d is not within %d and %d", p.Name, n, p.Min, p.Max)
		}
		v = strconv.Itoa(n)
	}
	if len(p.Choices) > 0 && !slices.Contains(p.Choices, v) {
		hint := ""
		if n := nearest(v, p.Choices); len(n) > 0 {
			hint = "; did you mean " + n[0] + "?"
		}
		return "", fault.New(fault.Invalid, "parameter %s: %q is not one of %s%s", p.Name, v, strings.Join(p.Choices, ", "), hint)
	}
	return v, nil
}

// value is v as recipes see it.
func (p Param) value(v string) starlark.Value {
	switch p.Kind {
	case "bool":
		return starlark.Bool(v == "true")
	case "int":
		n, _ := strconv.Atoi(v)
		return starlark.MakeInt(n)
	}
	return starlark.String(v)
}

// declared is what param() returns.
type declared struct{ Param }

func (d *declared) String() string        { return "param(" + d.Kind + ")" }
func (d *declared) Type() string          { return "param" }
func (d *declared) Freeze()               {}
func (d *declared) Truth() starlark.Bool  { return true }
func (d *declared) Hash() (uint32, error) { return 0, fmt.Errorf("a param cannot be a key") }

// param implements param(default=None, choices=[], help="", min=None, max=None).
func param(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var def starlark.Value = starlark.None
	choices := new(starlark.List)
	d := &declared{}
	low, high := math.MinInt32, math.MaxInt32
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "default?", &def, "choices?", &choices, "help?", &d.Help, "min?", &low, "max?", &high); err != nil {
		return nil, err
	}
	p, err := paramOf(def, choices)
	if err != nil {
		return nil, err
	}
	p.Help, p.Min, p.Max = d.Help, low, high
	return &declared{p}, nil
}

// newParam makes a parameter of what stands beside its name in params: a param(), a list of choices whose first is the default, or
// a default; None wants a value.
func newParam(name string, v starlark.Value) (Param, error) {
	if !validParam(name) {
		return Param{}, fault.New(fault.Invalid, "parameter %q: expected letters, digits and _", name)
	}
	var p Param
	var err error
	switch v := v.(type) {
	case *declared:
		p = v.Param
	case *starlark.List:
		if v.Len() == 0 {
			return p, fault.New(fault.Invalid, "parameter %s: expected at least one choice", name)
		}
		p, err = paramOf(v.Index(0), v)
	default:
		p, err = paramOf(v, new(starlark.List))
	}
	p.Name = name
	if err == nil && !p.Required {
		p.Default, err = p.Check(p.Default)
	}
	if err != nil {
		return p, fmt.Errorf("parameter %s: %w", name, err)
	}
	return p, nil
}

func paramOf(def starlark.Value, choices *starlark.List) (Param, error) {
	p := Param{Kind: "string", Min: math.MinInt32, Max: math.MaxInt32}
	kind := def
	if def == starlark.None {
		p.Required = true
		if choices.Len() > 0 {
			kind = choices.Index(0)
		}
	} else {
		var err error
		if p.Default, err = word(def); err != nil {
			return p, err
		}
	}
	switch kind.(type) {
	case starlark.Bool:
		p.Kind = "bool"
	case starlark.Int:
		p.Kind = "int"
	}
	for i := range choices.Len() {
		c, err := word(choices.Index(i))
		if err != nil {
			return p, err
		}
		p.Choices = append(p.Choices, c)
	}
	return p, nil
}

// word is the text of a string, a number or a truth value.
func word(v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case starlark.Int:
		return v.String(), nil
	case starlark.Bool:
		return strconv.FormatBool(bool(v)), nil
	}
	return "", fault.New(fault.Invalid, "expected a string, a number or True or False, found a %s", v.Type())
}
