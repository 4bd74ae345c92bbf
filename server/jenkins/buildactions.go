package jenkins

import (
	"archive/zip"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/build"
	buildlog "github.com/outwork-build/outwork/build/log"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/jenkins/export"
	"github.com/outwork-build/outwork/server/record"
)

// ofBuild answers below a build.
func (c *call) ofBuild(j build.Job, name string) error {
	b, err := c.number(j.Name, name)
	if err != nil {
		return err
	}
	if c.isAPI() {
		return c.api(func() (*export.Bean, error) { return c.buildBean(j, b), nil })
	}
	page := record.BuildPage(b.ID)
	switch first := c.next(); first {
	case "", "console", "consoleFull":
		if !c.ends() {
			return c.noPath()
		}
		return c.look(page)
	case "consoleText":
		return c.console(b.ID)
	case "logText":
		return c.progressive(b)
	case "artifact":
		return c.artifact(b.ID)
	case "wfapi":
		return c.stageView(b)
	case "buildNumber":
		return c.text(strconv.Itoa(b.ID.Number))
	case "stop":
		return c.changeJob("Job/Cancel", page, func() error { return c.stop(b, false) })
	case "term", "kill":
		return c.changeJob("Job/Cancel", "", func() error { return c.stop(b, true) })
	case "doDelete":
		return c.changeJob("Run/Delete", record.JobPage(j.Name), func() error {
			return record.RemoveBuild(c.r.Context(), c.Builds, c.Logs, b.ID)
		})
	case "submitDescription":
		return c.changeJob("Run/Update", page, func() error {
			text := c.param("description")
			_, err := c.Builds.Update(c.r.Context(), b.ID, func(b *build.Build) error { b.Description = text; return nil })
			return err
		})
	case "toggleLogKeep":
		return refuse(http.StatusNotFound, "Not Found: builds are not marked to be kept: set the job's buildDiscarder")
	case "injectedEnvVars", "testReport":
		return refuse(http.StatusNotFound, "Not Found: builds have no %s here", first)
	}
	return c.noPath()
}

// stop ends a build; hard does not wait for its post and finally blocks. One that has ended stays as it is.
func (c *call) stop(b build.Build, hard bool) error {
	ctx := c.r.Context()
	times := 1
	if hard && b.AbortBy == "" {
		times = 2
	}
	if !hard && b.AbortBy != "" {
		return nil // a second stop is not a harder one
	}
	for range times {
		if err := c.Runner.Abort(ctx, b.ID, c.user()); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// start is the byte at which a log is wanted.
func (c *call) start() (int64, error) {
	text := c.param("start")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "start=%q: expected a number from 0", text)
	}
	return n, nil
}

// console answers with the whole log, as far as it is written.
func (c *call) console(id build.ID) error {
	if !c.ends() {
		return c.noPath()
	}
	l, err := c.Logs.Build(id)
	if err != nil {
		return err
	}
	defer l.Release()
	c.w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	c.copyLog(l, 0, l.Size(), c.w)
	return nil
}

// progressive answers with what was written since a byte, and says where to go on and whether there will be more.
func (c *call) progressive(b build.Build) error {
	form := c.next()
	if !c.ends() || form != "progressiveText" && form != "progressiveHtml" {
		return c.noPath()
	}
	start, err := c.start()
	if err != nil {
		return err
	}
	l, err := c.Logs.Build(b.ID)
	if err != nil {
		return err
	}
	defer l.Release()
	// Before the size: after its end a log does not grow. Clients that hear the end ask for the result.
	finished := b.State == build.Finished && l.Finished()
	size := l.Size()
	if start > size {
		start = 0 // as Jenkins does: the log is not the one that the caller means
	}
	h := c.w.Header()
	h.Set("X-Text-Size", strconv.FormatInt(size, 10))
	if !finished {
		h.Set("X-More-Data", "true")
	}
	h.Set("Cache-Control", "no-store")
	if form == "progressiveHtml" {
		h.Set("Content-Type", "text/html;charset=UTF-8")
		c.copyLog(l, start, size, htmlWriter{c.w})
		return nil
	}
	h.Set("Content-Type", "text/plain;charset=UTF-8")
	c.copyLog(l, start, size, c.w)
	return nil
}

func (c *call) copyLog(l *buildlog.Log, from, to int64, w io.Writer) {
	if _, err := io.Copy(w, io.NewSectionReader(l, from, to-from)); err != nil {
		c.Log.Warn("serve a log", "path", c.r.URL.Path, "error", err)
	}
}

// htmlWriter escapes what is written. It works on bytes, so that a character that is cut in two is put together again.
type htmlWriter struct{ w io.Writer }

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func (h htmlWriter) Write(p []byte) (int, error) {
	if _, err := h.w.Write(escapeHTML(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escapeHTML(p []byte) []byte { return []byte(htmlEscapes.Replace(string(p))) }

// artifact answers with a file that a build archived, or with several as a zip.
func (c *call) artifact(id build.ID) error {
	as, err := c.Details.Artifacts(c.r.Context(), id)
	if err != nil {
		return err
	}
	for i, seg := range c.rest {
		if seg == "*zip*" && i == len(c.rest)-2 {
			return c.zip(as, strings.Join(c.rest[:i], "/"))
		}
	}
	file := strings.Join(c.rest, "/")
	for _, a := range as {
		if a.Path == file {
			return record.ServeArtifact(c.w, c.r, c.CAS, a)
		}
	}
	if file == "" {
		return c.look(record.BuildPage(id))
	}
	return refuse(http.StatusNotFound, "Not Found: build %s archived no file %q", id, file)
}

// zip packs the files of a folder; "" is all.
func (c *call) zip(as []build.Artifact, folder string) error {
	var chosen []build.Artifact
	base := ""
	if folder != "" {
		base = strings.TrimSuffix(path.Dir(folder), ".")
		if base != "" {
			base += "/"
		}
	}
	for _, a := range as {
		if folder == "" || strings.HasPrefix(a.Path, folder+"/") {
			chosen = append(chosen, a)
		}
	}
	if len(chosen) == 0 {
		return refuse(http.StatusNotFound, "Not Found: nothing was archived there")
	}
	c.w.Header().Set("Content-Type", "application/zip")
	c.w.Header().Set("Content-Disposition", "attachment; filename=\"archive.zip\"")
	z := zip.NewWriter(c.w)
	for _, a := range chosen {
		name := strings.TrimPrefix(a.Path, base)
		if folder == "" {
			name = "archive/" + a.Path
		}
		if err := c.pack(z, name, a); err != nil {
			c.Log.Warn("pack artifacts", "path", c.r.URL.Path, "file", a.Path, "error", err)
			panic(http.ErrAbortHandler) // the client must not take half of them for all
		}
	}
	if err := z.Close(); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (c *call) pack(z *zip.Writer, name string, a build.Artifact) error {
	d, err := cas.ParseDigest(a.Digest)
	if err != nil {
		return err
	}
	r, err := c.CAS.Get(c.r.Context(), d, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
