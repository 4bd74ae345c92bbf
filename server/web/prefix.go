package web

import (
	"net/url"
	"regexp"
	"strings"
)

// rooted finds links to a path of this port in rendered HTML. What came from builds cannot look like one: it has no quotes left.
var rooted = regexp.MustCompile(` (href|src|action|formaction|data-base|data-module|hx-get|hx-post)="/([^/])`)

// prefix is the path of the address under which people reach the page, when a proxy shows it below one; else "".
func prefix(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// below leads the links of a rendered page below the prefix.
func (s *site) below(html []byte) []byte {
	p := prefix(s.URL())
	if p == "" {
		return html
	}
	return rooted.ReplaceAll(html, []byte(` $1="`+strings.ReplaceAll(p, "$", "$$")+`/$2`))
}
