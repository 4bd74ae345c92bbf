package scm

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/outwork-build/outwork/pipeline/value"
)

// wish is what to check out of which git repository.
type wish struct {
	url    string
	ref    string // as the author wrote it; "" is the remote's HEAD
	local  bool   // make a local branch of the same name, as the git step does
	branch string // name of a local branch to make (LocalBranch); "" by local
	dir    string // below the current folder; "" is that folder
	depth  int64  // 0 is the whole history
	noTags bool
	clean  bool // remove files that are not in the repository first
}

// wishOf reads [$class: 'GitSCM', branches: [[name: '*/main']], userRemoteConfigs: [[url: '…']], extensions: […]].
func wishOf(m *value.Map) (wish, error) {
	var w wish
	for k, v := range m.All() {
		var err error
		switch key := value.String(k); key {
		case "$class", "poll", "changelog", "doGenerateSubmoduleConfigurations", "submoduleCfg", "gitTool", "browser":
		case "url": // git(url: …, branch: …)
			w.url = value.String(v)
		case "branch":
			w.ref = value.String(v)
		case "branches":
			err = w.readBranches(maps(v))
		case "userRemoteConfigs":
			err = w.readRemotes(maps(v))
		case "extensions":
			for _, e := range maps(v) {
				if err = w.readExtension(e); err != nil {
					break
				}
			}
		default:
			err = value.Abort(fmt.Sprintf("checkout: %q is not supported: expected branches, userRemoteConfigs, extensions", key))
		}
		if err != nil {
			return w, err
		}
	}
	if w.url == "" {
		return w, value.Abort("checkout: no repository: expected userRemoteConfigs: [[url: '…']]")
	}
	return w, nil
}

func (w *wish) readBranches(list []*value.Map) error {
	if len(list) > 1 {
		return value.Abort("checkout: several branches: expected one")
	}
	for _, b := range list {
		w.ref = value.String(b.GetString("name"))
	}
	return nil
}

func (w *wish) readRemotes(list []*value.Map) error {
	if len(list) != 1 {
		return value.Abort(fmt.Sprintf("checkout: %d userRemoteConfigs: expected one", len(list)))
	}
	for k, v := range list[0].All() {
		switch key := value.String(k); key {
		case "url":
			w.url = value.String(v)
		case "$class", "name":
		case "credentialsId":
			if s := value.String(v); v != nil && s != "" {
				return noCredentials(s)
			}
		default:
			return value.Abort(fmt.Sprintf("checkout: userRemoteConfigs: %q is not supported: expected url", key))
		}
	}
	return nil
}

func (w *wish) readExtension(m *value.Map) error {
	text := func(key string) string {
		if v := m.GetString(key); v != nil {
			return value.String(v)
		}
		return ""
	}
	switch class := text("$class"); class {
	case "CleanBeforeCheckout", "CleanCheckout", "cleanBeforeCheckout", "cleanAfterCheckout":
		w.clean = true
	case "CloneOption", "cloneOption":
		n, _ := m.GetString("depth").(int64)
		if value.Truth(m.GetString("shallow")) {
			w.depth = max(n, 1)
		}
		w.noTags = value.Truth(m.GetString("noTags"))
	case "RelativeTargetDirectory":
		w.dir = text("relativeTargetDir")
	case "LocalBranch", "localBranch":
		w.branch, w.local = text("localBranch"), true
		if w.branch == "**" {
			w.branch = ""
		}
	case "PruneStaleBranch", "pruneStaleBranch", "WipeWorkspace":
		w.clean = w.clean || class == "WipeWorkspace"
	default:
		return value.Abort(fmt.Sprintf("checkout: extension %q is not supported: expected CleanBeforeCheckout, CleanCheckout, CloneOption, LocalBranch, PruneStaleBranch or RelativeTargetDirectory", class))
	}
	return nil
}

// maps returns the maps of a list.
func maps(v value.Value) []*value.Map {
	switch v := v.(type) {
	case *value.Map:
		return []*value.Map{v}
	case *value.List:
		var out []*value.Map
		for _, e := range v.Elems {
			if m, ok := e.(*value.Map); ok {
				out = append(out, m)
			}
		}
		return out
	}
	return nil
}

// protocols are those that git may speak; ext:: and its kin run commands of the URL's choice.
const protocols = "file:git:http:https:ssh"

var (
	scheme  = regexp.MustCompile(`^([A-Za-z0-9+.-]+):(//|:)`)
	badRef  = regexp.MustCompile(`[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/$|\.$|\.lock(/|$)|^/|^-|(^|/)\.`)
	hexName = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// checkURL refuses what git would take for an option or for a command.
func checkURL(u string) error {
	bad := func(why string) error { return value.Abort(fmt.Sprintf("git URL %q: %s", hideSecret(u), why)) }
	switch {
	case u == "":
		return bad("expected one")
	case strings.HasPrefix(u, "-"):
		return bad("it cannot begin with a dash")
	case strings.ContainsFunc(u, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return bad("it holds a control character")
	}
	if m := scheme.FindStringSubmatch(u); m != nil {
		if m[2] == ":" || !strings.Contains(":"+protocols+":", ":"+strings.ToLower(m[1])+":") {
			return bad(fmt.Sprintf("protocol %q is not allowed: expected one of %s", m[1], strings.ReplaceAll(protocols, ":", ", ")))
		}
		if host, ok := strings.CutPrefix(u[len(m[0]):], "-"); ok {
			return bad(fmt.Sprintf("host %q cannot begin with a dash", "-"+host))
		}
	}
	return nil
}

// cleanRef is the name of a branch, tag or commit, without what Jenkins' branch specifiers put before it.
func cleanRef(ref string) (string, error) {
	name := strings.TrimSpace(ref)
	for _, prefix := range []string{"**/", "*/", "remotes/origin/", "origin/"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			name = rest
			break
		}
	}
	if name == "" || badRef.MatchString(name) {
		return "", value.Abort(fmt.Sprintf("git branch %q: expected the name of a branch, a tag or a commit", ref))
	}
	return name, nil
}

// hideSecret leaves a password in a URL out of logs.
func hideSecret(u string) string {
	p, err := url.Parse(u)
	if err != nil || p.User == nil {
		return u
	}
	if _, has := p.User.Password(); !has {
		return u
	}
	p.User = url.User(p.User.Username())
	return p.String()
}
