package agents

import (
	_ "embed"
	"net/http"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

//go:embed agent.sh
var shell string

//go:embed agent.ps1
var powershell string

// script answers with a script that knows the controller's address and, by ?node=NAME, the node's name.
func (h *handler) script(text string, quote func(string) string, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		node := r.URL.Query().Get("node")
		if len(node) > 200 || strings.ContainsFunc(node, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			h.refuse(w, r, fault.New(fault.Invalid, "node: expected a node's name"))
			return
		}
		options := ""
		if h.Options != nil {
			options = strings.TrimSpace(h.Options(h.URL()))
		}
		header := w.Header()
		header.Set("Content-Type", kind)
		header.Set("Cache-Control", "no-cache")
		header.Set("X-Content-Type-Options", "nosniff")
		fill := strings.NewReplacer("@URL@", quote(h.URL()), "@NODE@", quote(node), "@OPTIONS@", quote(options))
		_, _ = w.Write([]byte(fill.Replace(text)))
	}
}

// quoteShell makes one word for sh of any text.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// quotePowerShell makes a literal string of any text; PowerShell takes typographic quotes for quotes too.
func quotePowerShell(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}
