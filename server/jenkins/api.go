package jenkins

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// maxDepth is as deep as an answer goes; Jenkins has no bound, and answers that never end.
const maxDepth = 10

// isAPI reports whether the rest of the path asks for an object's data: api/json and its kin.
func (c *call) isAPI() bool { return len(c.rest) > 0 && c.rest[0] == "api" }

// api answers with an object, in the form that the path asks for.
func (c *call) api(object func() (*export.Bean, error)) error {
	if c.next() != "api" {
		return c.noPath()
	}
	form := c.next()
	if !c.ends() || form != "json" && form != "xml" && form != "python" {
		return c.noPath()
	}
	return c.render(form, object)
}

// render answers with an object as json, xml or python.
func (c *call) render(form string, object func() (*export.Bean, error)) error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && c.r.Method != http.MethodPost {
		c.w.Header().Set("Allow", "GET, HEAD, POST")
		return refuse(http.StatusMethodNotAllowed, "%s: expected GET", c.r.Method)
	}
	o := export.Options{Tree: c.param("tree")}
	if d := c.param("depth"); d != "" {
		n, err := strconv.Atoi(d)
		if err != nil || n < 0 {
			return fault.New(fault.Invalid, "depth=%q: expected a number from 0", d)
		}
		o.Depth = min(n, maxDepth)
	}
	b, err := object()
	if err != nil {
		return err
	}
	shown, err := export.Render(b, o)
	if err != nil {
		return err
	}
	indent := c.param("pretty") == "true"
	switch form {
	case "json":
		return c.send("application/json;charset=utf-8", export.JSON(shown, indent))
	case "python":
		return c.send("text/x-python;charset=UTF-8", export.Python(shown))
	}
	return c.xml(export.ToXML(shown), indent)
}

func (c *call) send(kind string, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	if _, err := c.w.Write(body); err != nil {
		c.Log.Debug("jenkins api: the caller went away", "error", err)
	}
	return nil
}

const xmlType = "application/xml;charset=UTF-8"

// xml answers with a document, or with the part of it that xpath= names, without what exclude= names.
func (c *call) xml(doc *export.Element, indent bool) error {
	doc, err := export.Exclude(doc, c.form()["exclude"])
	if err != nil {
		return err
	}
	path, wrapper := c.param("xpath"), c.param("wrapper")
	if path == "" {
		return c.send(xmlType, doc.Bytes(indent))
	}
	found, err := export.Find(doc, path)
	switch {
	case err != nil:
		return err
	case found.IsText:
		return c.text(found.Text)
	case wrapper != "":
		if strings.Trim(wrapper, nameRunes) != "" {
			return fault.New(fault.Invalid, "wrapper=%q: expected the name of an element", wrapper)
		}
		return c.send(xmlType, (&export.Element{Name: wrapper, Children: found.Elements}).Bytes(indent))
	case len(found.Elements) == 0:
		return refuse(http.StatusNotFound, "XPath %s didn't match", path)
	case len(found.Elements) > 1:
		return refuse(http.StatusInternalServerError, "XPath %q matched %d nodes. Create XPath that only matches one, or use the \"wrapper\" query parameter to wrap them all under a root element.", path, len(found.Elements))
	}
	return c.send(xmlType, found.Elements[0].Bytes(indent))
}

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
