package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
)

// maxForm bounds a form, in bytes.
const maxForm = 1 << 20

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	return r.PostForm, nil
}

// existing is the node that a path names.
func (s *site) existing(r *http.Request) (fleet.Status, error) {
	name := fleet.NodeName(r.PathValue("node"))
	st, ok := s.Fleet.Node(name)
	if !ok {
		return st, fault.New(fault.NotFound, "there is no node %q", name)
	}
	return st, nil
}

// showForm shows a form, with 422 when something is wrong in it.
func (s *site) showForm(w http.ResponseWriter, r *http.Request, f nodeForm) error {
	title := "New node"
	if !f.New {
		title = "Configure " + string(f.Node)
	} else if f.From != "" {
		title = "Copy of " + string(f.From)
	}
	status := http.StatusOK
	if len(f.Problems) > 0 {
		status, title = http.StatusUnprocessableEntity, "Error: "+title
	}
	return s.showAs(w, r, status, "nodeform", view{Title: title, Section: "nodes", Data: f})
}

// newNode is the form of a node to be: of one that there is, when the query says from.
func (s *site) newNode(w http.ResponseWriter, r *http.Request) error {
	from, v, err := s.beginning(r.URL.Query().Get("from"))
	if err != nil {
		return err
	}
	if k := r.URL.Query().Get("launcher"); k != "" {
		v.Set("launcher", k)
	}
	f := s.form(v, nil)
	f.New, f.From = true, from.Name
	return s.showForm(w, r, f)
}

// beginning is what a new node has before anything is said of it.
func (s *site) beginning(from string) (fleet.Node, url.Values, error) {
	n := fleet.Node{Executors: 1, Mode: fleet.Normal, Launcher: fleet.LauncherSpec{Kind: "inbound"}}
	if from != "" {
		st, ok := s.Fleet.Node(fleet.NodeName(from))
		if !ok {
			return n, nil, fault.New(fault.NotFound, "there is no node %q to copy", from)
		}
		n = st.Node
		n.Offline, n.Down, n.Used, n.Created = nil, nil, false, time.Time{}
		if n.Launcher.Kind == ownLauncher {
			n.Launcher = fleet.LauncherSpec{Kind: "inbound"}
		}
	}
	v := nodeValues(n)
	v.Del("name")
	return n, v, nil
}

// create makes a node as its form says.
func (s *site) create(w http.ResponseWriter, r *http.Request) error {
	v, err := readForm(w, r)
	if err != nil {
		return err
	}
	from, _, err := s.beginning(v.Get("from"))
	if err != nil {
		return err
	}
	n, ps := readNode(v, from)
	n.Name, n.Created = fleet.NodeName(text(v.Get("name"))), s.Now().UTC()
	by := auth.From(r.Context()).User
	if v.Get("hold") != "" {
		cause := fleet.ByUser(by, v.Get("reason"))
		cause.When = s.Now().UTC()
		n.Offline = &cause
	}
	if n.Launcher.Kind == ownLauncher {
		ps.add("launcher", "Launcher", "agents of the controller's own machine are made by its --executors alone")
	}
	ps = s.check(n, ps)
	s.making.Lock() // of two that make one name, the second is told
	defer s.making.Unlock()
	if _, exists := s.Fleet.Node(n.Name); exists {
		ps.add("name", "Name", "there is a node %q already", n.Name)
	}
	if len(ps) > 0 {
		f := s.form(v, ps)
		f.New, f.From = true, fleet.NodeName(v.Get("from"))
		return s.showForm(w, r, f)
	}
	if err := s.Fleet.Put(r.Context(), n); err != nil {
		return err
	}
	s.Log.Info("node created", "node", n.Name, "by", by)
	http.Redirect(w, r, string(nodePath(n.Name)), http.StatusSeeOther)
	return nil
}

// editForm lays out the form of a node that there is.
func (s *site) editForm(n fleet.Node, v url.Values, ps problems) nodeForm {
	v.Set("was", mark(n))
	f := s.form(v, ps)
	f.Node, f.Local = n.Name, n.Launcher.Kind == ownLauncher
	f.Owner, _ = s.Owner(n.Name)
	return f
}

func (s *site) edit(w http.ResponseWriter, r *http.Request) error {
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	return s.showForm(w, r, s.editForm(st.Node, nodeValues(st.Node), nil))
}

// configure changes a node as its form says.
func (s *site) configure(w http.ResponseWriter, r *http.Request) error {
	v, err := readForm(w, r)
	if err != nil {
		return err
	}
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	if err := s.free(st.Node.Name); err != nil {
		return err
	}
	if st.Node.Launcher.Kind == ownLauncher {
		v.Del("launcher")
	}
	n, ps := readNode(v, st.Node)
	if n.Launcher.Kind == ownLauncher && st.Node.Launcher.Kind != ownLauncher {
		ps.add("launcher", "Launcher", "agents of the controller's own machine are made by its --executors alone")
	}
	if was := v.Get("was"); was != "" && was != mark(st.Node) {
		ps.add("", "", "%v", errChanged)
	}
	if ps = s.check(n, ps); len(ps) > 0 {
		return s.showForm(w, r, s.editForm(st.Node, v, ps))
	}
	if err := s.Fleet.Put(r.Context(), n); err != nil {
		return err
	}
	s.Log.Info("node configured", "node", n.Name, "by", auth.From(r.Context()).User)
	http.Redirect(w, r, string(nodePath(n.Name)), http.StatusSeeOther)
	return nil
}

// free says no to changes of a node that a file looks after.
func (s *site) free(n fleet.NodeName) error {
	if file, owned := s.Owner(n); owned {
		return fault.New(fault.Conflict, "node %s is looked after by %s: change it there, or its next apply would undo this", n, file)
	}
	return nil
}

// running is what runs on a node, by executor.
func (s *site) running(name fleet.NodeName) (busy []queue.ItemStatus) {
	for _, it := range s.Queue.Snapshot() {
		if it.Grant != nil && it.Grant.Node == name {
			busy = append(busy, it)
		}
	}
	sortBusy(busy)
	return busy
}

// removal asks whether a node is to be deleted, and tells what that means.
func (s *site) removal(w http.ResponseWriter, r *http.Request) error {
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	file, owned := s.Owner(st.Node.Name)
	return s.show(w, r, "noderemove", view{Title: "Delete " + string(st.Node.Name), Section: "nodes", Data: struct {
		Node  nodeRow
		Owned bool
		Owner string
		Local bool
		Dials bool
	}{newRow(st, s.running(st.Node.Name)), owned, file, st.Node.Launcher.Kind == ownLauncher, !s.Fleet.Launches(st.Node)}})
}

func (s *site) remove(w http.ResponseWriter, r *http.Request) error {
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	name := st.Node.Name
	if err := s.free(name); err != nil {
		return err
	}
	if err := s.Fleet.Remove(r.Context(), name); err != nil {
		return err
	}
	if err := s.Auth.RevokeNode(r.Context(), string(name), ""); err != nil {
		return err
	}
	s.Log.Info("node deleted", "node", name, "by", auth.From(r.Context()).User)
	http.Redirect(w, r, "/nodes", http.StatusSeeOther)
	return nil
}

// approve lets a host on the way to a node in with the key that its page shows.
func (s *site) approve(w http.ResponseWriter, r *http.Request) error {
	v, err := readForm(w, r)
	if err != nil {
		return err
	}
	name, by := fleet.NodeName(r.PathValue("node")), auth.From(r.Context()).User
	k, err := s.Fleet.Approve(r.Context(), name, v.Get("fingerprint"), by)
	if err != nil {
		return err
	}
	s.Log.Info("host key approved", "node", name, "fingerprint", k.Fingerprint, "by", by)
	http.Redirect(w, r, string(nodePath(name)), http.StatusSeeOther)
	return nil
}

// invite makes a token for a node's agent and shows the command to run on its machine, once.
func (s *site) invite(w http.ResponseWriter, r *http.Request) error {
	st, err := s.existing(r)
	if err != nil {
		return err
	}
	name := string(st.Node.Name)
	if s.Fleet.Launches(st.Node) {
		return fault.New(fault.Conflict, "node %s is started by the controller (launcher %s): an agent cannot join as it", name, st.Node.Launcher.Kind)
	}
	plain, t, err := s.Auth.CreateJoinToken(r.Context(), auth.From(r.Context()).User, name, 0)
	if err != nil {
		return err
	}
	return s.show(w, r, "nodejoin", view{Title: "Connect " + name, Section: "nodes", Data: struct {
		Node    fleet.NodeName
		Command string
		Until   time.Time
	}{st.Node.Name, s.Join(plain) + " --name " + shellWord(name), t.Expires}})
}
