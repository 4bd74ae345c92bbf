package jenkins

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// A queue item of Jenkins is a number. There are two sorts of them here, told apart by a bit, and none has to be remembered:
// a client that polls an item over a restart of the controller finds it again.
//
// A build that was accepted has a checksum of its job's name and its own number, below a million. A pipeline's node block that waits for an
// executor has a checksum of its item's name. All fit into the 53 bits that JavaScript reads.
const (
	numberBits = 20
	blockItem  = int64(1) << 52
)

func queueID(id build.ID) int64 {
	return int64(crc32.ChecksumIEEE([]byte(id.Job)))<<numberBits | int64(id.Number&(1<<numberBits-1))
}

func blockID(id queue.ItemID) int64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return blockItem | int64(h.Sum64()&uint64(blockItem-1))
}

// leftFor is how long an item that has left the queue is still answered for.
const leftFor = 5 * time.Minute

func (c *call) queue() error {
	if c.isAPI() {
		return c.api(c.queueBean)
	}
	switch c.next() {
	case "":
		return c.look("/queue")
	case "item":
		id := c.next()
		if c.isAPI() {
			return c.api(func() (*export.Bean, error) { return c.queueItem(id) })
		}
		if c.next() == "cancelQueue" && c.ends() {
			return c.cancel(id)
		}
	case "cancelItem":
		if c.ends() {
			return c.cancel(c.param("id"))
		}
	}
	return c.noPath()
}

func (c *call) queueBean() (*export.Bean, error) {
	return (&export.Bean{Class: "hudson.model.Queue"}).
		Add("discoverableItems", []*export.Bean{}).
		InLine("items", func() (any, error) { return c.waitingItems() }), nil
}

// waitingItems are the builds that have not started, and the node blocks that wait for an executor.
func (c *call) waitingItems() ([]*export.Bean, error) {
	out := []*export.Bean{}
	for _, h := range c.Runner.Waiting() {
		b, err := c.Builds.Build(c.r.Context(), h.ID)
		if fault.Is(err, fault.NotFound) || err == nil && b.State != build.Queued {
			continue // it left just now
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c.queuedBuild(b))
	}
	n := 0
	for _, it := range c.snapshot() {
		if it.State == queue.Waiting {
			n++
			out = append(out, c.block(it, n <= maxWhy))
		}
	}
	return out, nil
}

// maxWhy bounds for how many items of a list the reason is computed: reasons look at every node.
const maxWhy = 200

// queueItem finds an item that waits, or has left the queue a short time ago.
func (c *call) queueItem(text string) (*export.Bean, error) {
	b, it, err := c.item(text)
	switch {
	case err != nil:
		return nil, err
	case it != nil && it.State == queue.Waiting:
		return c.block(*it, true), nil
	case it != nil:
		return c.left(c.block(*it, false), it.Item.Build, false)
	case b.State == build.Queued:
		return c.queuedBuild(b), nil
	}
	since := b.Started
	if !isRun(b) {
		since = b.Ended
	}
	if c.Now().Sub(since) > leftFor {
		return nil, noItem(text)
	}
	return c.left(c.queuedBuild(b), b.ID, !isRun(b))
}

func noItem(text string) error {
	return refuse(http.StatusNotFound, "Not Found: there is no queue item %s, or it has left the queue more than %v ago", text, leftFor)
}

// item finds what a number stands for: a build, or a node block.
func (c *call) item(text string) (build.Build, *queue.ItemStatus, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return build.Build{}, nil, noItem(text)
	}
	if n >= blockItem {
		for _, it := range c.snapshot() {
			if blockID(it.Item.ID) == n {
				return build.Build{}, &it, nil
			}
		}
		return build.Build{}, nil, noItem(text)
	}
	jobs, err := c.allJobs()
	if err != nil {
		return build.Build{}, nil, err
	}
	var found build.Build
	for _, j := range jobs {
		id := build.ID{Job: j.Name, Number: int(n & (1<<numberBits - 1))}
		if queueID(id) != n {
			continue
		}
		b, err := c.Builds.Build(c.r.Context(), id)
		if err == nil && b.Accepted.After(found.Accepted) { // of two jobs with one checksum, the newer build
			found = b
		} else if err != nil && !fault.Is(err, fault.NotFound) {
			return build.Build{}, nil, err
		}
	}
	if found.ID.Number == 0 {
		return build.Build{}, nil, noItem(text)
	}
	return found, nil, nil
}

// left turns the bean of an item into that of one which has left the queue.
func (c *call) left(b *export.Bean, id build.ID, cancelled bool) (*export.Bean, error) {
	b.Class = "hudson.model.Queue$LeftItem"
	for i := range b.Props {
		p := &b.Props[i]
		switch p.Name {
		case "why":
			p.Value = func() (any, error) { return nil, nil }
		case "blocked", "buildable":
			p.Value = func() (any, error) { return false, nil }
		}
	}
	b.Add("cancelled", cancelled)
	if cancelled {
		return b.Add("executable", nil), nil
	}
	return b.Lazy(1, "executable", func() (any, error) {
		run, err := c.Builds.Build(c.r.Context(), id)
		if err != nil {
			return nil, err
		}
		j, err := c.Builds.Job(c.r.Context(), id.Job)
		return c.buildBean(j, run), err
	}), nil
}

// itemBean is what all items have.
func (c *call) itemBean(class string, id int64, since time.Time, actions []*export.Bean, params string) *export.Bean {
	return (&export.Bean{Class: "hudson.model.Queue$" + class}).
		Add("actions", actions).Add("blocked", class == "BlockedItem").Add("buildable", class == "BuildableItem").
		Show(3, "id", id).Add("inQueueSince", ms(since)).Add("params", params).Add("stuck", false)
}

// queuedBuild is a build that was accepted and has not started.
func (c *call) queuedBuild(b build.Build) *export.Bean {
	j := build.Job{Name: b.ID.Job}
	if known, err := c.Builds.Job(c.r.Context(), b.ID.Job); err == nil {
		j = known
	}
	var params strings.Builder
	for _, p := range parametersOf(j, b) {
		if p.Kind != "password" {
			params.WriteString("\n" + p.Name + "=" + p.Default)
		}
	}
	why := cmp.Or(c.heldBack()[b.ID], "Waiting to start")
	id := queueID(b.ID)
	return c.itemBean("BlockedItem", id, b.Accepted, []*export.Bean{causeAction(b), parametersAction(j, b)}, params.String()).
		Add("task", c.jobBean(j)).Show(2, "url", itemURL(id)).Add("why", why)
}

// block is a pipeline's node block that waits for an executor.
func (c *call) block(it queue.ItemStatus, why bool) *export.Bean {
	id := blockID(it.Item.ID)
	title := it.Item.Title
	if title == "" {
		title = fmt.Sprintf("part of %s", it.Item.Build)
	}
	task := (&export.Bean{Class: "org.jenkinsci.plugins.workflow.support.steps.ExecutorStepExecution$PlaceholderTask"}).
		Show(3, "name", title).Show(3, "url", c.buildURL(it.Item.Build)+"console")
	b := c.itemBean("BuildableItem", id, it.Item.Waiting, []*export.Bean{}, "").
		Add("task", task).Show(2, "url", itemURL(id)).
		Lazy(1, "why", func() (any, error) {
			if !why {
				return nil, nil
			}
			x, err := c.Queue.Why(c.r.Context(), it.Item.ID)
			if err != nil {
				return nil, nil // it has left the queue just now
			}
			return x.Summary, nil
		})
	return b.Add("buildableStartMilliseconds", ms(it.Item.Waiting)).Add("pending", it.State == queue.Granting)
}

func itemURL(id int64) string { return fmt.Sprintf("queue/item/%d/", id) }

// cancel takes an item out of the queue: 204, 404 when there is none, 422 when it has left the queue. A pipeline that waits in the
// middle for an executor is aborted.
func (c *call) cancel(text string) error {
	if err := c.changes(auth.Write, "Job/Cancel"); err != nil {
		return err
	}
	b, it, err := c.item(text)
	if err != nil {
		return err
	}
	id := b.ID
	switch {
	case it != nil && it.State == queue.Waiting:
		id = it.Item.Build
	case it != nil || b.State != build.Queued:
		if _, err := c.queueItem(text); err != nil {
			return err
		}
		return refuse(http.StatusUnprocessableEntity, "Queue item %s is not cancellable: it has left the queue", text)
	}
	if err := c.Runner.Abort(c.r.Context(), id, c.user()); err != nil {
		if fault.Is(err, fault.Conflict) {
			return refuse(http.StatusUnprocessableEntity, "Queue item %s is not cancellable: %v", text, err)
		}
		return err
	}
	if c.r.Header.Get("Referer") != "" {
		c.redirect("/queue")
		return nil
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
