package export

import (
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// tree is the value of tree=, read: "jobs[name,lastBuild[number]]{0,10}".
type tree struct {
	children map[string]*tree
	window   window
}

// maxNesting bounds the brackets of a tree.
const maxNesting = 50

func parseTree(s string) (*tree, error) {
	p := &treeParser{s: s}
	t := &tree{window: whole}
	if err := p.list(t, 0); err != nil {
		return nil, err
	}
	if p.at < len(s) {
		return nil, p.wrong("expected a comma or the end")
	}
	return t, nil
}

type treeParser struct {
	s  string
	at int
}

func (p *treeParser) wrong(what string) error {
	return fault.New(fault.Invalid, "tree=%q: %s at character %d", p.s, what, p.at+1)
}

func (p *treeParser) take(c byte) bool {
	p.blanks()
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *treeParser) blanks() {
	for p.at < len(p.s) && p.s[p.at] == ' ' {
		p.at++
	}
}

func (p *treeParser) list(into *tree, depth int) error {
	if depth > maxNesting {
		return p.wrong("nested too deep")
	}
	if into.children == nil {
		into.children = map[string]*tree{}
	}
	for {
		name := p.name()
		if name == "" {
			return p.wrong("expected a name")
		}
		child := into.children[name] // named twice: both apply
		if child == nil {
			child = &tree{window: whole}
			into.children[name] = child
		}
		if err := p.suffixes(child, depth); err != nil {
			return err
		}
		if !p.take(',') {
			return nil
		}
	}
}

func (p *treeParser) name() string {
	p.blanks()
	start := p.at
	for p.at < len(p.s) && !strings.ContainsRune("[]{}, ", rune(p.s[p.at])) {
		p.at++
	}
	return p.s[start:p.at]
}

// suffixes reads the children and the range of a name, in either order.
func (p *treeParser) suffixes(t *tree, depth int) (err error) {
	for {
		switch {
		case p.take('['):
			if err = p.list(t, depth+1); err != nil {
				return err
			}
			if !p.take(']') {
				return p.wrong("expected ]")
			}
		case p.take('{'):
			if t.window, err = p.window(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// window reads "N}", "M,N}", "M,}" and ",N}".
func (p *treeParser) window() (window, error) {
	end := strings.IndexByte(p.s[p.at:], '}')
	if end < 0 {
		return whole, p.wrong("expected }")
	}
	from, to, two := strings.Cut(p.s[p.at:p.at+end], ",")
	w := whole
	for _, bound := range []struct {
		text string
		set  *int
	}{{from, &w.from}, {to, &w.to}} {
		text := strings.TrimSpace(bound.text)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return whole, p.wrong("expected a range like {0,10}")
		}
		*bound.set = n
	}
	if !two {
		if strings.TrimSpace(from) == "" {
			return whole, p.wrong("expected a range like {0,10}")
		}
		w.to = w.from + 1
	}
	p.at += end + 1
	return w, nil
}
