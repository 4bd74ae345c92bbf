package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
)

// maxEvent bounds the bytes of one line of the event stream.
const maxEvent = 1 << 16

// Events calls each with every topic that changed, every topic once at the start, until each returns an error, which Events
// returns, or ctx ends. A stream that breaks off is fault.Unavailable: call again, and every topic comes again.
func (c *Client) Events(ctx context.Context, each func(api.Event) error) error {
	resp, err := c.request(ctx, "GET", path("events"), nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fault.New(fault.Unavailable, "events: %q is not an event: %w", data, err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fault.New(fault.Unavailable, "events: the stream broke off: %w", err)
}
