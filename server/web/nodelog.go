package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/outwork-build/outwork/fleet"
)

// followNodeLog sends what is written into a node's log from an offset on, until ctx ends. It begins with an event of all that is
// there, so that nothing is missed between the page and its events.
func (s *site) followNodeLog(ctx context.Context, name fleet.NodeName, from int64, w http.ResponseWriter, rc *http.ResponseController) error {
	send := func(text string, whole bool) error {
		b, err := json.Marshal(struct {
			Text  string `json:"text"`
			Whole bool   `json:"whole,omitempty"` // in place of what is shown
		}{strings.ToValidUTF8(text, "\ufffd"), whole})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
			return err
		}
		return rc.Flush()
	}
	text, next, err := s.Fleet.Log(name, 0)
	if err != nil {
		return err
	}
	if err := send(lastLines(string(text), 300)+"\n", true); err != nil {
		return err
	}
	return s.Fleet.FollowLog(ctx, name, max(from, next), func(p []byte, _ int64) error { return send(string(p), false) })
}
