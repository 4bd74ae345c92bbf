package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/config"
)

func (e *env) configCmd() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Keep the farm as a file"}
	c.AddCommand(e.configShowCmd(), e.configExportCmd(), e.configValidateCmd(),
		e.configTextCmd("plan FILE", "Say what applying a file would do", "  outwork config plan farm.yaml", false, (*client.Client).ConfigPlan),
		e.configTextCmd("diff FILE", "Show every value that applying a file would change", "  outwork config diff farm.yaml", true, (*client.Client).ConfigPlan),
		e.configApplyCmd(), e.configReloadCmd(), e.configUndoCmd(), e.configImportCmd())
	return c
}

// configFile reads a file, or standard input for "-".
func (e *env) configFile(name string) (api.ConfigText, error) {
	if name == "-" {
		b, err := io.ReadAll(io.LimitReader(e.in, 2<<20))
		return api.ConfigText{File: "standard input", Text: string(b)}, err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return api.ConfigText{}, errUsage{err}
	}
	return api.ConfigText{File: name, Text: string(b)}, nil
}

// sign is how a line of a plan begins.
func sign(action string) string {
	switch action {
	case "create":
		return "+"
	case "change":
		return "~"
	}
	return "-"
}

// showPlan writes a line for each change and, in full, for each value.
func (e *env) showPlan(p api.ConfigPlan, full bool) error {
	return e.show(p, func(w *tabwriter.Writer) {
		for _, c := range p.Changes {
			line := fmt.Sprintf("%s %s %s", sign(c.Action), c.Action, strings.TrimSpace(c.Kind+" "+c.Name))
			if c.Action == "change" && !full {
				var paths []string
				for _, f := range c.Fields {
					paths = append(paths, f.Path)
				}
				line += ": " + strings.Join(paths, ", ")
			}
			if c.Note != "" {
				line += " (" + c.Note + ")"
			}
			fmt.Fprintln(w, line)
			for _, f := range c.Fields {
				if full {
					showField(w, f)
				}
			}
		}
		if len(p.Changes) == 0 {
			fmt.Fprintln(w, "No changes.")
		}
	})
}

func showField(w io.Writer, f api.ConfigField) {
	for _, side := range []struct{ sign, text string }{{"-", f.Before}, {"+", f.After}} {
		if side.text == "" {
			continue
		}
		for i, line := range strings.Split(strings.TrimSuffix(side.text, "\n"), "\n") {
			if i == 0 {
				line = f.Path + ": " + line
			}
			fmt.Fprintf(w, "    %s %s\n", side.sign, line)
		}
	}
}

func (e *env) configTextCmd(use, short, example string, full bool, ask func(*client.Client, context.Context, api.ConfigText) (api.ConfigPlan, error)) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Example: example, Args: exactly(1, "a file, or - for standard input"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			t, err := e.configFile(args[0])
			if err != nil {
				return err
			}
			p, err := ask(cl, ctx, t)
			if err != nil {
				return err
			}
			return e.showPlan(p, full)
		}),
	}
}

func (e *env) configApplyCmd() *cobra.Command {
	c := e.configTextCmd("apply FILE", "Make the farm like a file", "  outwork config apply farm.yaml\n  outwork config export | sed s/executors:\\ 2/executors:\\ 4/ | outwork config apply -", false, (*client.Client).ConfigApply)
	c.Long = "Make the farm like a file, at once and without a restart: all of it, or nothing when anything in it is wrong. What the file does not\n" +
		"name stays, unless an earlier file made it. outwork config undo takes the last apply back."
	return c
}

func (e *env) configReloadCmd() *cobra.Command {
	return &cobra.Command{Use: "reload", Short: "Have the controller read its own file anew", Example: "  outwork config reload", Args: exactly(0, "no argument"),
		Long: "Have a controller that runs with --config read its file anew and apply it. SIGHUP does the same.",
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) error {
			p, err := cl.ConfigReload(ctx)
			if err != nil {
				return err
			}
			return e.showPlan(p, false)
		}),
	}
}

func (e *env) configUndoCmd() *cobra.Command {
	return &cobra.Command{Use: "undo", Short: "Take the last apply back", Example: "  outwork config undo", Args: exactly(0, "no argument"),
		Long: "Take the last apply back. Agents of nodes that it deleted must join anew.",
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) error {
			p, err := cl.ConfigUndo(ctx)
			if err != nil {
				return err
			}
			return e.showPlan(p, false)
		}),
	}
}

func (e *env) configExportCmd() *cobra.Command {
	return &cobra.Command{Use: "export", Short: "Write the farm down as a file", Example: "  outwork config export >farm.yaml", Args: exactly(0, "no argument"),
		Long: "Write the farm down as a file. Applying it changes nothing. Passwords are not in it, nor the secrets that it refers to.",
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) error {
			text, err := cl.ConfigExport(ctx)
			if err != nil {
				return err
			}
			if e.json {
				return e.show(api.ConfigText{Text: text}, nil)
			}
			_, err = io.WriteString(e.out, text)
			return err
		}),
	}
}

func (e *env) configShowCmd() *cobra.Command {
	return &cobra.Command{Use: "show", Short: "Say where the configuration came from and what it looks after", Example: "  outwork config show", Args: exactly(0, "no argument"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, _ []string) error {
			s, err := cl.ConfigState(ctx)
			if err != nil {
				return err
			}
			return e.show(s, func(w *tabwriter.Writer) {
				if s.Applied == nil {
					fmt.Fprintln(w, "No file was applied.")
					return
				}
				fmt.Fprintf(w, "File:\t%s, applied %s\n", s.File, ago(*s.Applied))
				for _, m := range s.Managed {
					made := "changed by the file"
					if m.Made {
						made = "made by the file"
					}
					fmt.Fprintf(w, "%s %s\t%s\n", m.Kind, m.Name, made)
				}
			})
		}),
	}
}

func (e *env) configValidateCmd() *cobra.Command {
	return &cobra.Command{Use: "validate FILE", Short: "Check a file without a controller", Example: "  outwork config validate farm.yaml", Args: exactly(1, "a file, or - for standard input"),
		Long: "Check a file without a controller: everything but the launchers' own settings and the secrets, which outwork config plan checks too.",
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := e.configFile(args[0])
			if err != nil {
				return err
			}
			if _, err := config.Parse(t.File, t.Text, nil); err != nil {
				return err
			}
			e.say("%s is in order.", t.File)
			return nil
		},
	}
}

// onHangup has the controller read its file anew at each SIGHUP, until the function that it returns is called.
func (e *env) onHangup(ctx context.Context, file string, s *server.Server, log *slog.Logger) (stop func()) {
	if file == "" {
		return func() {}
	}
	hangups, ended, gone := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(gone)
		for {
			select {
			case <-ended:
				return
			case <-hangups:
				if err := s.Reload(ctx); err != nil && !errors.Is(err, context.Canceled) {
					log.Error("the configuration was not applied: all stays as it is", "error", err)
				}
			}
		}
	}()
	return func() { signal.Stop(hangups); close(ended); <-gone }
}

func (e *env) configImportCmd() *cobra.Command {
	return &cobra.Command{Use: "import-jcasc FILE", Short: "Translate the nodes of Jenkins' Configuration as Code", Args: exactly(1, "a file, or - for standard input"),
		Example: "  outwork config import-jcasc jenkins.yaml >farm.yaml",
		Long: "Write the permanent nodes and the monitors of a file of Jenkins' Configuration as Code plugin as a file of Outwork's. What could not be\n" +
			"taken is named, with its line, on standard error: credentials above all, which Outwork refers to and does not hold.",
		RunE: func(_ *cobra.Command, args []string) error {
			t, err := e.configFile(args[0])
			if err != nil {
				return err
			}
			d, left, err := config.Import(t.File, t.Text)
			if err != nil {
				return err
			}
			for _, l := range left {
				fmt.Fprintln(e.err, l)
			}
			if e.json {
				return e.show(api.ConfigText{Text: d.Write()}, nil)
			}
			_, err = io.WriteString(e.out, d.Write())
			return err
		},
	}
}
