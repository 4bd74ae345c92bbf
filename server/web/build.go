package web

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/queue"
)

// stageNode is a stage in the tree of a build's page.
type stageNode struct {
	build.Stage
	Status   string
	Took     time.Duration
	Children []*stageNode
}

func (s *site) stageTree(stages []build.Stage) []*stageNode {
	nodes := map[string]*stageNode{}
	var top []*stageNode
	for _, st := range stages {
		n := &stageNode{Stage: st, Status: st.State, Took: -1}
		if st.Result != "" {
			n.Status = string(st.Result)
		}
		if !st.Started.IsZero() {
			end := st.Ended
			if end.IsZero() {
				end = s.Now()
			}
			n.Took = end.Sub(st.Started)
		}
		nodes[st.ID] = n
		if p := nodes[st.Parent]; p != nil {
			p.Children = append(p.Children, n)
		} else {
			top = append(top, n)
		}
	}
	return top
}

type artifact struct {
	build.Artifact
	URL template.URL
}

func (s *site) build(w http.ResponseWriter, r *http.Request) error {
	id, err := buildID(r)
	if err != nil {
		return err
	}
	b, err := s.Builds.Build(r.Context(), id)
	if err != nil {
		return err
	}
	stages, err := s.Details.Stages(r.Context(), id)
	if err != nil {
		return err
	}
	as, err := s.Details.Artifacts(r.Context(), id)
	if err != nil {
		return err
	}
	var arts []artifact
	for _, a := range as {
		segs := strings.Split(a.Path, "/")
		for i := range segs {
			segs[i] = url.PathEscape(segs[i])
		}
		arts = append(arts, artifact{a, template.URL(fmt.Sprintf("/api/v1/jobs/%s/builds/%d/artifacts/%s", url.PathEscape(string(id.Job)), id.Number, strings.Join(segs, "/")))})
	}
	var waits []waiting
	for _, st := range s.Queue.Snapshot() {
		if st.Item.Build == id && st.State == queue.Waiting && len(waits) < 10 {
			if x, err := s.Queue.Why(r.Context(), st.Item.ID); err == nil {
				waits = append(waits, waiting{ItemStatus: st, Why: x.Summary})
			}
		}
	}
	return s.show(w, r, "build", view{Title: id.String(), Section: "jobs", Topics: "builds queue", Data: struct {
		Build     row
		Stages    []*stageNode
		Artifacts []artifact
		Waits     []waiting
	}{s.row(b), s.stageTree(stages), arts, waits}})
}

// pageLines is how many lines a page of a log without JavaScript has.
const pageLines = 1000

type logLine struct {
	Number int64
	HTML   template.HTML
	Stage  string
}

func htmlLines(ls []buildlog.Line) []logLine {
	out := make([]logLine, 0, len(ls))
	for _, l := range ls {
		out = append(out, logLine{l.Number, ansi(l.Text), l.Stage})
	}
	return out
}

func (s *site) openLog(r *http.Request) (*buildlog.Log, build.ID, error) {
	id, err := buildID(r)
	if err != nil {
		return nil, id, err
	}
	if _, err := s.Builds.Build(r.Context(), id); err != nil {
		return nil, id, err
	}
	l, err := s.Logs.Build(id)
	return l, id, err
}

// logPage is the log for browsers without JavaScript, a thousand lines a page.
func (s *site) logPage(w http.ResponseWriter, r *http.Request) error {
	l, id, err := s.openLog(r)
	if err != nil {
		return err
	}
	defer l.Release()
	total := l.Lines()
	pages := max(1, (total+pageLines-1)/pageLines)
	page, err := strconv.ParseInt(r.URL.Query().Get("page"), 10, 64)
	if err != nil || page < 1 || page > pages {
		page = pages
	}
	ls, err := l.Range(r.Context(), (page-1)*pageLines+1, pageLines)
	if err != nil {
		return err
	}
	return s.show(w, r, "log", view{Title: "Log of " + id.String(), Section: "jobs", Data: struct {
		ID                      build.ID
		Lines                   []logLine
		Page, Pages, Prev, Next int64
		Finished                bool
	}{id, htmlLines(ls), page, pages, page - 1, page + 1, l.Finished()}})
}

// chunk is a stretch of a log as the live view asks for it.
type chunk struct {
	From  int64    `json:"from"`
	Lines []string `json:"lines"` // HTML, one a line
}

// state is what the live view needs to know of a whole log. Ranges only grow at their end: Stages holds those from index At on.
type state struct {
	Total    int64                 `json:"total"`
	Finished bool                  `json:"finished"`
	At       int                   `json:"at"`
	Stages   []buildlog.StageRange `json:"stages"`
	Names    map[string]string     `json:"names"`   // stage id → name
	Parents  map[string]string     `json:"parents"` // stage id → id of the stage it stands in
}

func (s *site) lines(w http.ResponseWriter, r *http.Request) error {
	l, _, err := s.openLog(r)
	if err != nil {
		return err
	}
	defer l.Release()
	from, _ := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	count, _ := strconv.Atoi(r.URL.Query().Get("count"))
	from, count = max(1, from), min(max(1, count), 2000)
	ls, err := l.Range(r.Context(), from, count)
	if err != nil {
		return err
	}
	c := chunk{From: from, Lines: make([]string, 0, len(ls))}
	for _, x := range ls {
		c.Lines = append(c.Lines, string(ansi(x.Text)))
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(c)
}

// liveEvery bounds how often a follower is told that the log has grown.
const liveEvery = 100 * time.Millisecond

// live tells how far the log has come, as server-sent events, until the build has ended.
func (s *site) live(w http.ResponseWriter, r *http.Request) error {
	l, id, err := s.openLog(r)
	if err != nil {
		return err
	}
	defer l.Release()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Time{})
	told := 0
	tell := func() error {
		st := state{Finished: l.Finished(), Total: l.Lines(), Names: map[string]string{}, Parents: map[string]string{}}
		ranges, err := l.Stages()
		if err != nil {
			return err
		}
		st.At = min(told, len(ranges))
		st.Stages, told = ranges[st.At:], max(0, len(ranges)-1) // the last one may have grown by the next time
		stages, err := s.Details.Stages(r.Context(), id)
		if err != nil {
			return err
		}
		for _, x := range stages {
			st.Names[x.ID], st.Parents[x.ID] = x.Name, x.Parent
		}
		data, err := json.Marshal(st)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
			return err
		}
		return rc.Flush()
	}
	ctx, cancel := context.WithCancel(r.Context())
	grown, ended := make(chan struct{}, 1), make(chan struct{})
	go func() { // the log's own signal; its bytes are not needed here
		defer close(ended)
		l.Follow(ctx, l.Size(), func(int64, []byte) error {
			select {
			case grown <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	defer func() { cancel(); <-ended }()
	for {
		if err := tell(); err != nil {
			s.Log.Debug("live log", "build", id.String(), "error", err)
			return nil // the answer has begun: the browser asks again
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			tell()
			return nil
		case <-grown:
		}
		pause := time.NewTimer(liveEvery)
		select {
		case <-ctx.Done():
		case <-ended:
		case <-pause.C:
		}
		pause.Stop()
	}
}
