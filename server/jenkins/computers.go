package jenkins

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// The controller's own node has several names in Jenkins, and there always is one.
const builtInName = "Built-In Node"

func isBuiltIn(name string) bool {
	switch name {
	case "(built-in)", "(master)", "master", builtInName, string(fleet.BuiltIn):
		return true
	}
	return false
}

// computers answers below /computer/.
func (c *call) computers() error {
	if c.isAPI() {
		return c.api(c.computerSet)
	}
	name := c.next()
	switch {
	case name == "":
		return c.look("/nodes")
	case name == "doCreateItem" && c.ends():
		return c.doCreateNode()
	case name == "createItem" && c.ends():
		return c.createNode()
	case name == "updateNow" && c.ends():
		return refuse(http.StatusNotFound, "Not Found: nodes are measured with every heartbeat, there is nothing to be started")
	case name == "_launchAll" && c.ends():
		return c.launchAll()
	}
	st, err := c.findNode(name)
	if err != nil {
		return err
	}
	return c.computer(st)
}

// findNode finds a node by its name; the controller's own also under Jenkins' names, even where it has no executors.
func (c *call) findNode(name string) (fleet.Status, error) {
	if isBuiltIn(name) {
		return c.builtIn(), nil
	}
	st, found := c.Fleet.Node(fleet.NodeName(name))
	if !found {
		return st, refuse(http.StatusNotFound, "No such agent \"%s\" exists.%s", name, c.near(name))
	}
	return st, nil
}

// builtIn is the controller's own node; one without executors when it has none.
func (c *call) builtIn() fleet.Status {
	if st, found := c.Fleet.Node(fleet.BuiltIn); found {
		return st
	}
	return fleet.Status{Node: fleet.Node{Name: fleet.BuiltIn, Mode: fleet.Normal}, State: fleet.Online, Assigned: []string{string(fleet.BuiltIn)}, Since: c.started}
}

// nodes lists the controller's own node, and then the others by name.
func (c *call) nodes() []fleet.Status {
	all := []fleet.Status{c.builtIn()}
	for _, st := range c.Fleet.Snapshot() {
		if st.Node.Name != fleet.BuiltIn {
			all = append(all, st)
		}
	}
	return all
}

func (c *call) computerSet() (*export.Bean, error) {
	all := c.nodes()
	busy, total := 0, 0
	running := c.running()
	for _, st := range all {
		busy += len(running[st.Node.Name])
		if st.State == fleet.Online {
			total += st.Node.Executors
		}
	}
	return (&export.Bean{Class: "hudson.model.ComputerSet"}).Add("busyExecutors", busy).
		InLine("computer", func() (any, error) {
			out := make([]*export.Bean, 0, len(all))
			for _, st := range all {
				out = append(out, c.computerBean(st))
			}
			return out, nil
		}).
		Add("displayName", "Nodes").Add("totalExecutors", total), nil
}

func (c *call) computerBean(st fleet.Status) *export.Bean {
	n := st.Node
	own := n.Name == fleet.BuiltIn
	class, name := "hudson.slaves.SlaveComputer", string(n.Name)
	if own {
		class, name = "hudson.model.Hudson$MasterComputer", builtInName
	}
	offline := st.State != fleet.Online
	icon := "symbol-computer"
	switch {
	case st.State == fleet.Offline || st.State == fleet.Connecting:
		icon = "symbol-computer-offline"
	case offline:
		icon = "symbol-computer-disconnected"
	}
	busy := c.running()[n.Name]
	inbound := n.Launcher.Kind == "inbound"
	b := (&export.Bean{Class: class}).Add("actions", []*export.Bean{}).
		Lazy(1, "assignedLabels", func() (any, error) {
			out := []*export.Bean{}
			for _, l := range st.Assigned {
				out = append(out, c.labelBean(l))
			}
			return out, nil
		}).
		Add("description", n.Description).Add("displayName", name).
		Lazy(1, "executors", func() (any, error) { return c.executors(st, busy), nil }).
		Add("icon", icon).Add("iconClassName", icon).Add("idle", len(busy) == 0).Add("jnlpAgent", inbound && !own).
		Add("launchSupported", !inbound || own).Add("loadStatistics", &export.Bean{Class: "hudson.model.Label$1"}).Add("manualLaunchAllowed", true).
		Add("monitorData", monitorData(st)).Add("numExecutors", n.Executors).Add("offline", offline).
		Add("offlineCause", offlineCause(st.Cause, offline)).Add("offlineCauseReason", reason(st.Cause, offline)).
		Add("oneOffExecutors", []*export.Bean{}).Add("temporarilyOffline", n.Offline != nil)
	if !own {
		root := n.RemoteRoot
		if root == "" {
			root = st.Machine.Root
		}
		b.Add("absoluteRemotePath", root)
	}
	return b
}

// executors are a node's slots, and those beyond them that work which was begun earlier still has.
func (c *call) executors(st fleet.Status, busy []queue.ItemStatus) []*export.Bean {
	bySlot := map[int]queue.ItemStatus{}
	count := st.Node.Executors
	for _, it := range busy {
		bySlot[it.Grant.Executor] = it
		count = max(count, it.Grant.Executor+1)
	}
	out := make([]*export.Bean, 0, count)
	for slot := range count {
		it, used := bySlot[slot]
		e := &export.Bean{Class: "hudson.model.Executor"}
		e.Lazy(1, "currentExecutable", func() (any, error) {
			if !used || it.Item.Build.Number == 0 {
				return nil, nil
			}
			return c.buildRef(it), nil
		})
		progress := -1
		if used {
			progress = c.progress(it)
		}
		out = append(out, e.Add("idle", !used).Add("likelyStuck", false).Add("number", slot).Add("progress", progress))
	}
	return out
}

// buildRef is the build whose node block an executor has.
func (c *call) buildRef(it queue.ItemStatus) *export.Bean {
	id := it.Item.Build
	return (&export.Bean{Class: classRun}).Show(2, "fullDisplayName", fmt.Sprintf("%s #%d", id.Job, id.Number)).Show(2, "number", id.Number).
		Add("timestamp", ms(it.Since)).Show(2, "url", c.buildURL(id))
}

// progress guesses in percent how far a build is; -1 when there is nothing to compare it with.
func (c *call) progress(it queue.ItemStatus) int {
	whole, err := estimate(c.history(it.Item.Build.Job))
	if err != nil || whole <= 0 {
		return -1
	}
	return int(min(99, 100*c.Now().Sub(it.Since).Milliseconds()/whole))
}

// causes are Jenkins' classes for the kinds of offline causes.
var causes = map[string]string{
	fleet.CauseUser: "hudson.slaves.OfflineCause$UserCause", fleet.CauseChannel: "hudson.slaves.OfflineCause$ChannelTermination",
	fleet.CauseHeartbeat: "hudson.slaves.OfflineCause$ChannelTermination", fleet.CauseLaunch: "hudson.slaves.OfflineCause$LaunchFailed",
	retain.CauseIdle: "hudson.slaves.OfflineCause$IdleOfflineCause", retain.CauseSchedule: "hudson.slaves.SimpleScheduledRetentionStrategy$ScheduledOfflineCause",
	"monitor": "hudson.node_monitors.MonitorOfflineCause",
}

func offlineCause(cause *fleet.OfflineCause, offline bool) any {
	if cause == nil || !offline {
		return nil
	}
	class := causes[cause.Kind]
	if class == "" {
		class = "hudson.slaves.OfflineCause$SimpleOfflineCause"
	}
	return (&export.Bean{Class: class}).Show(3, "description", cause.Text).Show(3, "timestamp", ms(cause.When))
}

// reason is the cause in words; of a person's, only the message (Jenkins cuts its own words off, and clients compare).
func reason(cause *fleet.OfflineCause, offline bool) string {
	switch {
	case cause == nil || !offline:
		return ""
	case cause.Kind == fleet.CauseUser && strings.HasPrefix(cause.Text, "Disconnected by "):
		_, message, _ := strings.Cut(cause.Text, " : ")
		return message
	}
	return cause.Text
}

// nodePage is the path of a node's page.
func nodePage(n fleet.NodeName) string { return "/nodes/" + url.PathEscape(string(n)) }

// near suggests a name like one that is not there.
func (c *call) near(name string) string {
	var names []string
	for _, st := range c.Fleet.Snapshot() {
		names = append(names, string(st.Node.Name))
	}
	slices.Sort(names)
	if n, ok := label.Nearest(name, names); ok {
		return fmt.Sprintf(" Did you mean %q?", n)
	}
	return ""
}
