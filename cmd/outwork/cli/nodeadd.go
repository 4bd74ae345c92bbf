package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/fault"
)

// reach says how a new node's machine is reached.
type reach struct {
	ssh, key, hostKey, jump, command string
	winrm, password                  string
	https, yes                       bool
	timeout                          time.Duration
}

// added is what came of adding a node.
type added struct {
	Node api.Node       `json:"node"`
	Join *api.JoinToken `json:"join,omitempty"`
	Test *api.NodeTest  `json:"test,omitempty"`
}

func (e *env) nodeAddCmd() *cobra.Command {
	var f nodeFlags
	var r reach
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a machine: reach it, start its agent, run a tiny step on it, propose labels and executors",
		Long: `Add a machine. With --ssh the controller logs in, finds out what the machine is, puts the agent there and starts it; with --winrm it
makes the agent a service of a Windows machine; with --command it runs a command whose standard input and output lead to an agent. Then a
tiny step is run, and labels and executors that fit what was found are proposed, or taken with --yes. With none of them the agent dials:
the command to run on the machine is shown.
Files that are named here are the controller's.`,
		Example: `  outwork node add build1 --ssh ci@build1.example.org --key /etc/outwork/id_ed25519 --yes
  outwork node add win1 --winrm Administrator@win1.example.org --https --password file:/etc/outwork/win1.password --yes
  outwork node add box --command 'docker exec -i box outwork-agent --stdio'
  outwork node add mac-1 --labels mac`,
		Args: exactly(1, "the new node's name"),
		RunE: e.asking(func(ctx context.Context, cl *client.Client, args []string) error {
			n, err := f.create(args[0])
			if err == nil {
				err = r.into(&n)
			}
			if err != nil {
				return err
			}
			return e.addNode(ctx, cl, n, r)
		}),
	}
	f.add(c.Flags())
	c.Flags().StringVar(&r.ssh, "ssh", "", "`[USER@]HOST[:PORT]` to log in to")
	c.Flags().StringVar(&r.key, "key", "", "`file` of the private key on the controller, or a reference such as env:NAME")
	c.Flags().StringVar(&r.hostKey, "host-key", "", "how the machine is known: known-hosts, first-use, none, or its SHA256:… fingerprint")
	c.Flags().StringVar(&r.jump, "jump", "", "`hosts` to go through, comma separated")
	c.Flags().StringVar(&r.winrm, "winrm", "", "`USER@HOST[:PORT]` of a Windows machine to set up over WinRM")
	c.Flags().StringVar(&r.password, "password", "", "where the controller finds the password for --winrm: `file:/PATH or env:NAME`")
	c.Flags().BoolVar(&r.https, "https", false, "speak to --winrm over TLS, by default at port 5986")
	c.Flags().StringVar(&r.command, "command", "", "`command` on the controller whose standard input and output are the agent's")
	c.Flags().BoolVarP(&r.yes, "yes", "y", false, "take the labels and executors that are proposed, where none were given")
	c.Flags().DurationVar(&r.timeout, "timeout", 3*time.Minute, "how long it may take to come online")
	return c
}

// into writes how a machine is reached into a request.
func (r reach) into(n *api.NodeCreate) error {
	ways := 0
	for _, way := range []string{r.ssh, r.winrm, r.command} {
		if way != "" {
			ways++
		}
	}
	kind, config := "", map[string]string{}
	switch {
	case ways > 1:
		return errUsage{errors.New("--ssh, --winrm and --command: expected one of them")}
	case r.ssh == "" && (r.key != "" || r.hostKey != "" || r.jump != ""):
		return errUsage{errors.New("--key, --host-key and --jump say how to log in: expected --ssh USER@HOST too")}
	case r.winrm == "" && (r.password != "" || r.https):
		return errUsage{errors.New("--password and --https say how to log in: expected --winrm USER@HOST too")}
	case r.ssh != "":
		kind = "ssh"
		if err := r.login(config); err != nil {
			return err
		}
	case r.winrm != "":
		kind = "winrm"
		if err := r.windows(config); err != nil {
			return err
		}
	case r.command != "":
		kind, config["command"] = "command", r.command
	default:
		return nil
	}
	n.Launcher = &kind
	if n.LauncherConfig != nil {
		for k, v := range *n.LauncherConfig {
			config[k] = v
		}
	}
	n.LauncherConfig = &config
	return nil
}

// target takes [USER@]HOST[:PORT] apart. A user of Windows may have an @ too.
func target(flag, text string, config map[string]string) error {
	host := text
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		config["user"], host = host[:at], host[at+1:]
	}
	if at := strings.LastIndexByte(host, ':'); at > 0 && strings.Count(host, ":") == 1 || strings.Contains(host, "]:") {
		if _, err := strconv.Atoi(host[at+1:]); err != nil {
			return errUsage{fmt.Errorf("%s %q: expected a number after the colon", flag, text)}
		}
		config["port"], host = host[at+1:], host[:at]
	}
	config["host"] = strings.Trim(host, "[]")
	return nil
}

// windows writes the settings of the winrm launcher.
func (r reach) windows(config map[string]string) error {
	if r.https {
		config["https"] = "true"
	}
	if r.password != "" {
		config["password"] = r.password
	}
	return target("--winrm", r.winrm, config)
}

// login writes the settings of the ssh launcher.
func (r reach) login(config map[string]string) error {
	if err := target("--ssh", r.ssh, config); err != nil {
		return err
	}
	if r.key != "" {
		config["key"] = r.key
		if !strings.Contains(r.key, ":") {
			config["key"] = "file:" + r.key
		}
	}
	switch {
	case strings.HasPrefix(r.hostKey, "SHA256:"):
		config["hostKey"], config["pinnedKey"] = "pinned", r.hostKey
	case r.hostKey != "":
		config["hostKey"] = r.hostKey
	}
	if r.jump != "" {
		config["jump"] = r.jump
	}
	return nil
}

// addNode makes a node and sees it through to its first step.
func (e *env) addNode(ctx context.Context, cl *client.Client, n api.NodeCreate, r reach) error {
	start := time.Now()
	made, err := cl.CreateNode(ctx, n)
	if err != nil {
		return err
	}
	out := added{Node: made}
	e.say("Made node %s, launcher %s.", made.Name, made.Launcher)
	if !made.Launches {
		t, err := cl.CreateJoinToken(ctx, api.JoinTokenCreate{Node: made.Name})
		if err != nil {
			return err
		}
		out.Join = &t
		return e.show(out, func(w *tabwriter.Writer) {
			fmt.Fprintf(w, "On the machine, within %s:\n\n  %s\n", duration(timeUntil(t.Expires)), t.Command)
		})
	}
	if err := e.comeUp(ctx, cl, made.Name, r.timeout); err != nil {
		return err
	}
	e.say("Node %s is online after %s.", made.Name, duration(time.Since(start)))
	t, err := cl.TestNode(ctx, made.Name)
	if err == nil && !t.OK {
		err = fault.New(fault.Unavailable, "the self-test of node %s failed: %s", made.Name, t.Text)
	}
	if err != nil {
		return err
	}
	out.Test = &t
	e.say("Ran a step in %s (%s): %s", t.Workspace, duration(time.Duration(t.TookMS*float64(time.Millisecond))), t.Text)
	if err := e.propose(ctx, cl, n, t, r.yes); err != nil {
		return err
	}
	if out.Node, err = cl.Node(ctx, made.Name); err != nil {
		return err
	}
	return e.show(out, func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "Node %s works: %s, %d CPUs, %d executors, labels %s. It took %s.\n", made.Name, system(out.Node), out.Node.CPUs, out.Node.Executors,
			first(strings.Join(out.Node.Labels, " "), "(none)"), duration(time.Since(start)))
	})
}

// comeUp shows a node's log until it is online. At the first failure it looks where on the way it is.
func (e *env) comeUp(ctx context.Context, cl *client.Client, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fault.New(fault.Unavailable, "node %s is not online after %v: outwork node doctor %s looks why", name, timeout, name))
	defer cancel()
	following, done := make(chan struct{}), func() {}
	if !e.json {
		followed, stop := context.WithCancel(ctx)
		done = func() { stop(); <-following }
		go func() {
			defer close(following)
			e.showLog(followed, cl, name, e.err)
		}()
	}
	err := e.awaitNodes(ctx, cl, []string{name}, func(n api.Node) (bool, error) {
		if n.State == "offline" && n.Offline != nil && (n.Offline.Kind == "launch" || n.Offline.Kind == "channel") {
			return false, fault.New(fault.Unavailable, "node %s: %s", name, brief(reason(n)))
		}
		return n.State == "online", nil
	})
	done()
	if err == nil || ctx.Err() != nil {
		return err
	}
	e.say("\nWhere it fails:")
	if hops, _ := e.examine(context.WithoutCancel(ctx), cl, name); len(hops) > 0 && hops[len(hops)-1].OK {
		e.say("Nowhere, now: it may have come up meanwhile.")
	}
	e.say("The node stays, and is tried again: outwork node doctor %s, or outwork node delete %s", name, name)
	return err
}

// showLog copies a node's log, indented, until ctx ends.
func (e *env) showLog(ctx context.Context, cl *client.Client, name string, w io.Writer) {
	r, err := cl.FollowNodeLog(ctx, name)
	if err != nil {
		return
	}
	defer r.Close()
	_, _ = io.Copy(&indented{w: w, start: true}, r) // it ends with ctx
}

// indented writes lines with a margin.
type indented struct {
	w     io.Writer
	start bool // of a line
}

func (i *indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if i.start {
			line = "  " + line
		}
		i.start = strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(i.w, line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// propose takes labels and executors that fit the machine, or says how to. What somebody gave stays.
func (e *env) propose(ctx context.Context, cl *client.Client, n api.NodeCreate, t api.NodeTest, yes bool) error {
	var u api.NodeUpdate
	var flags []string
	if n.Labels == nil && len(t.Labels) > 0 {
		u.Labels = &t.Labels
		flags = append(flags, "--labels "+strings.Join(t.Labels, ","))
	}
	if n.Executors == nil && t.Executors != 1 {
		u.Executors = &t.Executors
		flags = append(flags, "--executors "+strconv.Itoa(t.Executors))
	}
	switch {
	case len(flags) == 0:
		return nil
	case !yes:
		e.say("Proposed, from what is there: outwork node update %s %s", n.Name, strings.Join(flags, " "))
		return nil
	}
	_, err := cl.UpdateNode(ctx, n.Name, u)
	return e.done(err, "Took %s.", strings.Join(flags, " "))
}

// awaitNodes waits until good says yes of every node, looking again whenever nodes have changed. An error of good ends it.
func (e *env) awaitNodes(ctx context.Context, cl *client.Client, names []string, good func(api.Node) (bool, error)) error {
	enough := errors.New("enough")
	for {
		err := cl.Events(ctx, func(ev api.Event) error {
			if ev.Topic != "nodes" {
				return nil
			}
			for _, name := range names {
				n, err := cl.Node(ctx, name)
				if err != nil {
					return err
				}
				if yes, err := good(n); err != nil || !yes {
					return err
				}
			}
			return enough
		})
		switch {
		case errors.Is(err, enough):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return err
		}
	}
}
