package serve

import (
	"flag"
	"io"

	"github.com/outwork-build/outwork/internal/fault"
)

// Settings reads an agent's flags, and the variables that stand for them, into variables: what starts the agent later, without its command
// line, gives it these. Secrets that are given as @FILE are read now. add declares flags that are not the agent's.
func Settings(args []string, getenv func(string) string, add func(*flag.FlagSet)) (map[string]string, error) {
	args, _, err := Compat(args)
	if err != nil {
		return nil, err
	}
	var c Config
	known, fs, out := flag.NewFlagSet("", flag.ContinueOnError), flag.NewFlagSet("", flag.ContinueOnError), map[string]string{}
	fs.SetOutput(io.Discard)
	if err := c.Bind(known, getenv); err != nil {
		return nil, err
	}
	known.VisitAll(func(f *flag.Flag) {
		set := func(v string) error {
			out[variable(f.Name)] = v
			return known.Set(f.Name, v)
		}
		if v := compatEnv(getenv)(variable(f.Name)); v != "" {
			out[variable(f.Name)] = v
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			fs.BoolFunc(f.Name, f.Usage, set)
		} else {
			fs.Func(f.Name, f.Usage, set)
		}
	})
	add(fs)
	if err := fs.Parse(args); err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	if fs.NArg() > 0 {
		return nil, fault.New(fault.Invalid, "unexpected argument %q", fs.Arg(0))
	}
	for _, name := range []string{"token", "secret"} {
		if v, ok := out[variable(name)]; ok {
			if out[variable(name)], err = readSecret("--"+name, v); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
