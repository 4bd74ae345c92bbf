package jenkins

import (
	"strconv"
	"time"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/server/jenkins/export"
)

// stageView answers with a build's stages in the shape of the Pipeline Stage View plugin.
func (c *call) stageView(b build.Build) error {
	if what := c.next(); what != "describe" && what != "" || !c.ends() {
		return c.noPath()
	}
	return c.render("json", func() (*export.Bean, error) {
		stages, err := c.Details.Stages(c.r.Context(), b.ID)
		if err != nil {
			return nil, err
		}
		list := []*export.Bean{}
		for _, s := range stages {
			if s.Kind == "stage" {
				list = append(list, c.stageBean(s))
			}
		}
		status := "IN_PROGRESS"
		if b.State == build.Finished {
			status = stageStatus(b.Result)
		}
		id := (&export.Bean{}).Show(9, "id", b.ID.Number).Show(9, "name", "#"+strconv.Itoa(b.ID.Number)).Show(9, "status", status).
			Show(9, "startTimeMillis", ms(b.Started)).Show(9, "endTimeMillis", ms(c.end(b.Ended))).
			Show(9, "durationMillis", c.end(b.Ended).Sub(b.Started).Milliseconds()).
			Show(9, "queueDurationMillis", b.Started.Sub(b.Accepted).Milliseconds()).Show(9, "pauseDurationMillis", 0).Show(9, "stages", list)
		return id, nil
	})
}

func (c *call) stageBean(s build.Stage) *export.Bean {
	status := "IN_PROGRESS"
	switch {
	case s.State == "skipped":
		status = "NOT_EXECUTED"
	case s.State == "finished":
		status = stageStatus(s.Result)
	}
	duration := int64(0)
	if !s.Started.IsZero() {
		duration = c.end(s.Ended).Sub(s.Started).Milliseconds()
	}
	return (&export.Bean{}).Show(9, "id", s.ID).Show(9, "name", s.Name).Show(9, "execNode", s.Node).Show(9, "status", status).
		Show(9, "startTimeMillis", ms(s.Started)).Show(9, "durationMillis", duration).Show(9, "pauseDurationMillis", 0)
}

// end is when something ended; what has not is measured until now.
func (c *call) end(t time.Time) time.Time {
	if t.IsZero() {
		return c.Now()
	}
	return t
}

// stageStatus is the plugin's word for a result.
func stageStatus(r build.Result) string {
	switch r {
	case build.Failure:
		return "FAILED"
	case build.NotBuilt:
		return "NOT_EXECUTED"
	case "":
		return "SUCCESS"
	}
	return string(r)
}
