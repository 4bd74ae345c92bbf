package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// under serves h below the path of the address that people use, and at the root, for a proxy that takes the path off. Redirects of
// h to a path of this port lead below the address' path. A page of that address may post, whatever name the proxy calls this port by.
func under(address string, h http.Handler) (http.Handler, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "--url %q: expected http://HOST or https://HOST, and a path if a proxy shows the controller below one", address)
	}
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fault.New(fault.Invalid, "--url %q: %w", address, err)
	}
	h = guard.Handler(h)
	prefix := strings.TrimRight(u.EscapedPath(), "/")
	if prefix == "" {
		return h, nil
	}
	below := http.StripPrefix(prefix, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" { // an upgrade has no redirects, and takes the connection over
			w = &redirects{ResponseWriter: w, prefix: prefix}
		}
		path := r.URL.EscapedPath()
		switch {
		case path == prefix:
			http.Redirect(w, r, "/", http.StatusPermanentRedirect)
		case strings.HasPrefix(path, prefix+"/"):
			below.ServeHTTP(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	}), nil
}

// redirects leads redirects within the port below a prefix.
type redirects struct {
	http.ResponseWriter
	prefix string
}

func (w *redirects) WriteHeader(status int) {
	for _, name := range []string{"Location", "HX-Redirect"} {
		if to := w.Header().Get(name); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
			w.Header().Set(name, w.prefix+to)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush implements http.Flusher, which streams ask for.
func (w *redirects) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *redirects) Unwrap() http.ResponseWriter { return w.ResponseWriter }
