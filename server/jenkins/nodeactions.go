package jenkins

import (
	"net/http"
	"strconv"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// computer answers below /computer/NAME/.
func (c *call) computer(st fleet.Status) error {
	if c.isAPI() {
		return c.api(func() (*export.Bean, error) { return c.computerBean(st), nil })
	}
	switch action := c.next(); action {
	case "":
		return c.look(nodePage(st.Node.Name))
	case "log", "logText":
		return c.nodeLog(st.Node.Name, action)
	case "scriptText", "script":
		return noScripts(c)
	case "jenkins-agent.jnlp", "slave-agent.jnlp":
		return noRemoting(c)
	default:
		if !c.ends() {
			return c.noPath()
		}
		return c.changeNode(st, action)
	}
}

// changeNode does what is done to a node by a POST.
func (c *call) changeNode(st fleet.Status, action string) error {
	permission := map[string]string{
		"doDelete": "Agent/Delete", "toggleOffline": "Agent/Disconnect", "changeOfflineCause": "Agent/Disconnect",
		"launchSlaveAgent": "Agent/Connect", "doDisconnect": "Agent/Disconnect", "config.xml": "Agent/Configure",
	}[action]
	switch {
	case permission == "":
		return c.noPath()
	case action == "config.xml" && c.r.Method != http.MethodPost:
		return c.nodeConfig(st)
	}
	if err := c.changes(auth.Admin, permission); err != nil {
		return err
	}
	if _, real := c.Fleet.Node(st.Node.Name); !real {
		return refuse(http.StatusBadRequest, "the controller has no executors of its own: start it with --executors")
	}
	page := nodePage(st.Node.Name)
	if action == "doDelete" {
		page = "/nodes"
	}
	if err := c.doNode(st, action); err != nil {
		return err
	}
	if action == "config.xml" {
		return c.ok()
	}
	return c.done(page)
}

func (c *call) doNode(st fleet.Status, action string) error {
	ctx, name := c.r.Context(), st.Node.Name
	cause := fleet.ByUser(c.user(), c.param("offlineMessage"))
	switch action {
	case "doDelete":
		if name == fleet.BuiltIn {
			return refuse(http.StatusBadRequest, "the built-in node cannot be deleted: start the controller without executors")
		}
		if err := c.Fleet.Remove(ctx, name); err != nil {
			return err
		}
		return c.Auth.RevokeNode(ctx, string(name), "")
	case "toggleOffline":
		if st.Node.Offline != nil {
			return c.Fleet.ClearOffline(ctx, name)
		}
		return c.Fleet.SetOffline(ctx, name, cause)
	case "changeOfflineCause":
		if st.Node.Offline == nil {
			return fault.New(fault.Invalid, "node %s is not taken offline: there is no cause to change", name)
		}
		return c.Fleet.SetOffline(ctx, name, cause)
	case "launchSlaveAgent":
		if connected(st) {
			return nil
		}
		return c.Fleet.Reconnect(ctx, name)
	case "doDisconnect":
		return c.Fleet.Disconnect(ctx, name, cause)
	}
	return c.setNodeConfig(st)
}

func connected(st fleet.Status) bool {
	return st.State != fleet.Offline && st.State != fleet.Connecting
}

// launchAll connects every node that is not.
func (c *call) launchAll() error {
	if err := c.changes(auth.Admin, "Agent/Connect"); err != nil {
		return err
	}
	for _, st := range c.Fleet.Snapshot() {
		if connected(st) {
			continue
		}
		if err := c.Fleet.Reconnect(c.r.Context(), st.Node.Name); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return c.done("/nodes")
}

// nodeLog is what happened between the controller and a node.
func (c *call) nodeLog(n fleet.NodeName, action string) error {
	if action == "log" {
		if !c.ends() {
			return c.noPath()
		}
		data, _, err := c.Fleet.Log(n, 0)
		if err != nil {
			return err
		}
		return c.text(string(data))
	}
	form := c.next()
	if !c.ends() || form != "progressiveText" && form != "progressiveHtml" {
		return c.noPath()
	}
	start, err := c.start()
	if err != nil {
		return err
	}
	data, next, err := c.Fleet.Log(n, start)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("X-Text-Size", strconv.FormatInt(next, 10))
	h.Set("X-More-Data", "true") // there may always be more
	if form == "progressiveHtml" {
		return c.send("text/html;charset=UTF-8", escapeHTML(data))
	}
	return c.text(string(data))
}

// createNode makes a node of the XML that is sent.
func (c *call) createNode() error {
	if err := c.changes(auth.Admin, "Agent/Create"); err != nil {
		return err
	}
	name := fleet.NodeName(c.r.URL.Query().Get("name"))
	n := fleet.Node{Name: name, Created: c.Now().UTC()}
	if c.r.URL.Query().Get("mode") == "copy" {
		return c.copyNode(name, c.r.URL.Query().Get("from"))
	}
	doc, err := c.readXML()
	if err != nil {
		return err
	}
	if err := slaveFromXML(doc, &n); err != nil {
		return err
	}
	if name != "" {
		n.Name = name // it wins over the document's
	}
	return c.addNode(n)
}

// doCreateNode makes a node of a form, as Jenkins' page and client libraries send it: name, type, and the rest as JSON.
func (c *call) doCreateNode() error {
	if err := c.changes(auth.Admin, "Agent/Create"); err != nil {
		return err
	}
	name := fleet.NodeName(c.param("name"))
	if c.param("mode") == "copy" {
		return c.copyNode(name, c.param("from"))
	}
	if kind := c.param("type"); kind != "" && kind != "hudson.slaves.DumbSlave" && kind != "hudson.slaves.DumbSlave$DescriptorImpl" {
		return refuse(http.StatusBadRequest, "type %q: expected hudson.slaves.DumbSlave", kind)
	}
	n := fleet.Node{Name: name, Created: c.Now().UTC()}
	if err := slaveFromJSON(c.param("json"), &n); err != nil {
		return err
	}
	return c.addNode(n)
}

// copyNode makes a node like another (S1-103).
func (c *call) copyNode(name fleet.NodeName, from string) error {
	st, found := c.Fleet.Node(fleet.NodeName(from))
	if !found {
		return refuse(http.StatusBadRequest, "No such agent: %s", from)
	}
	n := st.Node
	n.Name, n.Offline, n.Created = name, nil, c.Now().UTC()
	return c.addNode(n)
}

func (c *call) addNode(n fleet.Node) error {
	if err := fleet.CheckName(n.Name); err != nil {
		return fault.With(fault.Invalid, err)
	}
	c.adding.Lock() // of two that add one name, the second finds the first's node
	defer c.adding.Unlock()
	if _, exists := c.Fleet.Node(n.Name); exists || isBuiltIn(string(n.Name)) {
		return refuse(http.StatusBadRequest, "Agent called ‘%s’ already exists", n.Name)
	}
	if err := c.Fleet.Put(c.r.Context(), n); err != nil {
		return err
	}
	return c.done(nodePage(n.Name))
}
