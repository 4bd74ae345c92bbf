package jenkins

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/fleet/label"
	"github.com/outwork-build/outwork/fleet/retain"
	"github.com/outwork-build/outwork/internal/fault"
)

// slave is a node's configuration as Jenkins has it, from JSON or XML. Fields that are nil were not given.
type slave struct {
	description, root, labels, mode, executors *string
	launcher, retention                        *part
	env                                        map[string]string // nil was not given
}

// apply changes a node as a configuration says.
func (s slave) apply(n *fleet.Node) (err error) {
	if s.description != nil {
		n.Description = *s.description
	}
	if s.root != nil {
		n.RemoteRoot = *s.root
	}
	if s.labels != nil {
		if n.Labels, err = label.ParseLabels(*s.labels); err != nil {
			return fault.New(fault.Invalid, "labelString: %w", err)
		}
	}
	if s.mode != nil && *s.mode != "" {
		n.Mode = fleet.Mode(strings.ToLower(*s.mode))
	}
	if s.executors != nil {
		if n.Executors, err = executors(*s.executors); err != nil {
			return err
		}
	}
	if s.launcher != nil {
		if n.Launcher, err = launcher(*s.launcher, n.Launcher); err != nil {
			return err
		}
	}
	if s.retention != nil && !strings.HasPrefix(s.retention.class, "build.outwork.") {
		if n.Retention, err = retention(*s.retention); err != nil {
			return err
		}
		if _, err = retain.New(n.Retention); err != nil {
			return err
		}
	}
	if s.env != nil {
		n.Env = s.env
	}
	return nil
}

// defaults are what a new node has where nothing is said.
func (s slave) defaults(n *fleet.Node) {
	n.Executors, n.Launcher.Kind = 1, "inbound"
}

// slaveFromXML reads a config.xml into a node that is new, or that there is.
func slaveFromXML(doc *xmlNode, n *fleet.Node) error {
	if doc.name != "slave" && trim(doc.kind()) != "hudson.slaves.DumbSlave" {
		return fault.New(fault.Invalid, "config.xml: <%s>: expected <slave>", doc.name)
	}
	var s slave
	if n.Launcher.Kind == "" {
		s.defaults(n)
	}
	for name, field := range map[string]**string{"description": &s.description, "remoteFS": &s.root, "label": &s.labels, "mode": &s.mode, "numExecutors": &s.executors} {
		if e := doc.at(name); e != nil {
			v := doc.value(name)
			*field = &v
		}
	}
	if e := doc.at("launcher"); e != nil {
		s.launcher = xmlPart(e)
	}
	if e := doc.at("retentionStrategy"); e != nil {
		s.retention = xmlPart(e)
	}
	if e := doc.at("nodeProperties"); e != nil {
		s.env = xmlEnv(e)
	}
	if name := doc.value("name"); name != "" && n.Name == "" {
		n.Name = fleet.NodeName(name)
	}
	return s.apply(n)
}

func xmlPart(e *xmlNode) *part {
	return &part{class: e.class, value: func(name string) string { return e.value(name) }, inner: func(name string) (string, part) {
		if x := e.at(name); x != nil {
			return x.class, *xmlPart(x)
		}
		return "", part{}
	}}
}

const classEnv = "hudson.slaves.EnvironmentVariablesNodeProperty"

// xmlEnv reads the environment of a node: names and values in turn, after a comparator and a count.
func xmlEnv(properties *xmlNode) map[string]string {
	env := map[string]string{}
	var words []string
	if m := properties.at(classEnv, "envVars", "tree-map"); m != nil {
		for _, c := range m.children {
			if c.name == "string" {
				words = append(words, c.text)
			}
		}
	}
	for i := 0; i+1 < len(words); i += 2 {
		env[words[i]] = words[i+1]
	}
	return env
}

// slaveFromJSON reads the json of Jenkins' form into a new node.
func slaveFromJSON(text string, n *fleet.Node) error {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return fault.New(fault.Invalid, "json: %w", err)
	}
	var s slave
	s.defaults(n)
	for name, field := range map[string]**string{"nodeDescription": &s.description, "remoteFS": &s.root, "labelString": &s.labels, "mode": &s.mode, "numExecutors": &s.executors} {
		if v, given := m[name]; given && v != nil {
			text := plain(v)
			*field = &text
		}
	}
	if l, ok := m["launcher"].(map[string]any); ok {
		s.launcher = jsonPart(l)
	}
	for _, name := range []string{"retentionStrategy", "retentionsStrategy"} { // the second is how gojenkins spells it
		if r, ok := m[name].(map[string]any); ok {
			s.retention = jsonPart(r)
		}
	}
	s.env = jsonEnv(m["nodeProperties"])
	return s.apply(n)
}

func jsonPart(m map[string]any) *part {
	class := plain(m["stapler-class"])
	if class == "" {
		class = plain(m["$class"])
	}
	return &part{class: class, value: func(name string) string { return plain(m[name]) }, inner: func(name string) (string, part) {
		if x, ok := m[name].(map[string]any); ok {
			p := jsonPart(x)
			return p.class, *p
		}
		return "", part{}
	}}
}

// jsonEnv finds the environment in a form's node properties, which are objects under keys that say nothing.
func jsonEnv(v any) map[string]string {
	switch v := v.(type) {
	case map[string]any:
		if list, given := v["env"]; given {
			env := map[string]string{}
			one, _ := list.(map[string]any)
			many, _ := list.([]any)
			if one != nil {
				many = []any{one}
			}
			for _, e := range many {
				if kv, ok := e.(map[string]any); ok {
					env[plain(kv["key"])] = plain(kv["value"])
				}
			}
			return env
		}
		for _, k := range sortedKeys(v) {
			if env := jsonEnv(v[k]); env != nil {
				return env
			}
		}
	case []any:
		for _, e := range v {
			if env := jsonEnv(e); env != nil {
				return env
			}
		}
	}
	return nil
}

// plain is a value of JSON as a text; "" for null, lists and objects.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nodeConfig answers with a node's config.xml.
func (c *call) nodeConfig(st fleet.Status) error {
	n := st.Node
	var w xmlWriter
	w.open("slave", "")
	w.leaf("name", string(n.Name))
	w.leaf("description", n.Description)
	w.leaf("remoteFS", n.RemoteRoot)
	w.leaf("numExecutors", strconv.Itoa(n.Executors))
	mode := n.Mode
	if mode == "" {
		mode = fleet.Normal
	}
	w.leaf("mode", strings.ToUpper(string(mode)))
	writeRetention(&w, n.Retention)
	writeLauncher(&w, n.Launcher)
	w.leaf("label", label.FormatLabels(n.Labels))
	writeEnv(&w, n.Env)
	w.close("slave")
	return c.send(xmlType, w.document())
}

func writeEnv(w *xmlWriter, env map[string]string) {
	if len(env) == 0 {
		w.empty("nodeProperties", "")
		return
	}
	w.open("nodeProperties", "")
	w.open(classEnv, "")
	w.open("envVars", `serialization="custom"`)
	w.empty("unserializable-parents", "")
	w.open("tree-map", "")
	w.open("default", "")
	w.empty("comparator", class("java.lang.String$CaseInsensitiveComparator"))
	w.close("default")
	w.leaf("int", fmt.Sprint(len(env)))
	for _, k := range sortedKeys(env) {
		w.leaf("string", k)
		w.leaf("string", env[k])
	}
	w.close("tree-map")
	w.close("envVars")
	w.close(classEnv)
	w.close("nodeProperties")
}

// setNodeConfig changes a node as the config.xml in the body says. A node cannot be given another name.
func (c *call) setNodeConfig(st fleet.Status) error {
	doc, err := c.readXML()
	if err != nil {
		return err
	}
	if name := doc.value("name"); name != "" && name != string(st.Node.Name) && !isBuiltIn(string(st.Node.Name)) {
		return fault.New(fault.Invalid, "config.xml: name %q: node %s cannot be renamed: copy it, and delete the old one", name, st.Node.Name)
	}
	n := st.Node
	if err := slaveFromXML(doc, &n); err != nil {
		return err
	}
	return c.Fleet.Put(c.r.Context(), n)
}
