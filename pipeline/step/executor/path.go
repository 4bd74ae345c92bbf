package executor

import (
	"path"
	"strings"

	"github.com/outwork-build/outwork/pipeline/step"
)

// Locate resolves a path of the pipeline against the current folder of a scope; "" is that folder. abs is absolute in the
// machine's notation. local is what agent.Files and agent.Trees take: below the workspace a relative path, so that no link leads
// out of it; elsewhere abs.
func Locate(s *step.Scope, p string) (abs, local string) {
	dir := s.Dir
	if dir == "" {
		dir = s.Node.Workspace.Path
	}
	abs = join(s.Node.OS, dir, p)
	if rel, ok := below(s.Node.OS, s.Node.Workspace.Path, abs); ok {
		return abs, rel
	}
	return abs, abs
}

// join resolves p against dir. It folds "." and "..", and follows no links.
func join(os, dir, p string) string {
	windows := os == "windows"
	if windows {
		p, dir = strings.ReplaceAll(p, `\`, "/"), strings.ReplaceAll(dir, `\`, "/")
	}
	joined := path.Join(dir, p)
	if strings.HasPrefix(p, "/") || windows && len(p) > 1 && p[1] == ':' {
		joined = path.Clean(p)
	}
	if windows {
		return strings.ReplaceAll(joined, "/", `\`)
	}
	return joined
}

// below returns p relative to root, with slashes, if it is below.
func below(os, root, p string) (string, bool) {
	if os == "windows" {
		root, p = strings.ReplaceAll(root, `\`, "/"), strings.ReplaceAll(p, `\`, "/")
		if len(p) >= len(root) && strings.EqualFold(p[:len(root)], root) {
			p = root + p[len(root):]
		}
	}
	root = strings.TrimSuffix(root, "/")
	if p == root {
		return "", true
	}
	return strings.CutPrefix(p, root+"/")
}
