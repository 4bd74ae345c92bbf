package jenkins

import (
	"bytes"
	"fmt"
	"strconv"
)

// exposition writes figures in Prometheus' text format: all of one name stand together.
type exposition struct {
	order []string
	text  map[string]*bytes.Buffer
}

func newExposition() *exposition { return &exposition{text: map[string]*bytes.Buffer{}} }

// gauge adds a figure; labels is "" or stands between the braces.
func (e *exposition) gauge(name, help, labels string, value float64) {
	b := e.text[name]
	if b == nil {
		b = &bytes.Buffer{}
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		e.text[name] = b
		e.order = append(e.order, name)
	}
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(b, "%s%s %s\n", name, labels, strconv.FormatFloat(value, 'g', -1, 64))
}

func (e *exposition) bytes() []byte {
	var out bytes.Buffer
	for _, name := range e.order {
		out.Write(e.text[name].Bytes())
	}
	return out.Bytes()
}
