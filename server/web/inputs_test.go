package web_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

var (
	controls = regexp.MustCompile(`(?s)<(input|textarea|select|option)\b([^>]*)>(?:\n?([^<]*)</textarea>)?`)
	attrs    = regexp.MustCompile(`([a-z-]+)(?:="([^"]*)")?`)
)

// inputs reads what a browser would send of the forms of a page, whose attributes stand in double quotes.
func inputs(page string) url.Values {
	v := url.Values{}
	in := "" // the select of the options that follow
	for _, m := range controls.FindAllStringSubmatch(page, -1) {
		a := map[string]string{}
		for _, kv := range attrs.FindAllStringSubmatch(m[2], -1) {
			a[kv[1]] = html.UnescapeString(kv[2])
		}
		name, named := a["name"]
		_, checked := a["checked"]
		_, selected := a["selected"]
		switch {
		case m[1] == "select":
			in = name
		case m[1] == "option":
			if selected {
				v.Add(in, a["value"])
			}
		case !named:
		case m[1] == "textarea":
			v.Add(name, strings.ReplaceAll(html.UnescapeString(m[3]), "\n", "\r\n"))
		case a["type"] != "checkbox" && a["type"] != "radio" || checked:
			v.Add(name, a["value"])
		}
	}
	return v
}
