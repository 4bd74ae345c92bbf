package client

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/api"
)

// Info says who answers; it needs no token.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	return call[api.Info](ctx, c, "GET", path("info"), nil, nil)
}

// Login exchanges a password for a token.
func (c *Client) Login(ctx context.Context, l api.Login) (api.Token, error) {
	return call[api.Token](ctx, c, "POST", path("login"), nil, l)
}

// Logout ends the token this client uses.
func (c *Client) Logout(ctx context.Context) error { return c.do(ctx, "POST", path("logout"), nil) }

// WhoAmI returns the token this client uses, without its secret.
func (c *Client) WhoAmI(ctx context.Context) (api.Token, error) {
	return call[api.Token](ctx, c, "GET", path("whoami"), nil, nil)
}

// SetPassword changes the password of the user of this client's token.
func (c *Client) SetPassword(ctx context.Context, p api.PasswordChange) error {
	return c.do(ctx, "POST", path("password"), p)
}

// Jobs lists the jobs by name.
func (c *Client) Jobs(ctx context.Context) ([]api.Job, error) {
	return call[[]api.Job](ctx, c, "GET", path("jobs"), nil, nil)
}

// Job returns one job.
func (c *Client) Job(ctx context.Context, name string) (api.Job, error) {
	return call[api.Job](ctx, c, "GET", path("jobs", name), nil, nil)
}

// CreateJob makes a job.
func (c *Client) CreateJob(ctx context.Context, j api.JobCreate) (api.Job, error) {
	return call[api.Job](ctx, c, "POST", path("jobs"), nil, j)
}

// UpdateJob changes a job.
func (c *Client) UpdateJob(ctx context.Context, name string, u api.JobUpdate) (api.Job, error) {
	return call[api.Job](ctx, c, "PATCH", path("jobs", name), nil, u)
}

// DeleteJob removes a job and all its builds.
func (c *Client) DeleteJob(ctx context.Context, name string) error {
	return c.do(ctx, "DELETE", path("jobs", name), nil)
}

// StartBuild accepts a build: when it returns without error the build is on the controller's disk.
func (c *Client) StartBuild(ctx context.Context, job string, b api.BuildCreate) (api.Build, error) {
	return call[api.Build](ctx, c, "POST", path("jobs", job, "builds"), nil, b)
}

// BuildFilter chooses builds. Zero fields do not restrict; Limit 0 is the server's default.
type BuildFilter struct {
	Job    string
	State  string
	Before int
	Limit  int
}

// Builds lists builds, newest first.
func (c *Client) Builds(ctx context.Context, f BuildFilter) ([]api.Build, error) {
	q := url.Values{}
	for k, v := range map[string]string{"job": f.Job, "state": f.State} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if f.Before > 0 {
		q.Set("before", strconv.Itoa(f.Before))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return call[[]api.Build](ctx, c, "GET", path("builds"), q, nil)
}

func buildPath(job string, number int, more ...string) string {
	return path(append([]string{"jobs", job, "builds", strconv.Itoa(number)}, more...)...)
}

// Build returns one build.
func (c *Client) Build(ctx context.Context, job string, number int) (api.Build, error) {
	return call[api.Build](ctx, c, "GET", buildPath(job, number), nil, nil)
}

// Abort asks a build to end; a second call ends it hard.
func (c *Client) Abort(ctx context.Context, job string, number int) error {
	return c.do(ctx, "POST", buildPath(job, number, "abort"), nil)
}

// Rebuild starts a new build with the parameters of an old one.
func (c *Client) Rebuild(ctx context.Context, job string, number int) (api.Build, error) {
	return call[api.Build](ctx, c, "POST", buildPath(job, number, "rebuild"), nil, nil)
}

// DeleteBuild removes a finished build.
func (c *Client) DeleteBuild(ctx context.Context, job string, number int) error {
	return c.do(ctx, "DELETE", buildPath(job, number), nil)
}

// Stages lists the stages of a build in the order of their start.
func (c *Client) Stages(ctx context.Context, job string, number int) ([]api.Stage, error) {
	return call[[]api.Stage](ctx, c, "GET", buildPath(job, number, "stages"), nil, nil)
}

// Artifacts lists what a build archived.
func (c *Client) Artifacts(ctx context.Context, job string, number int) ([]api.Artifact, error) {
	return call[[]api.Artifact](ctx, c, "GET", buildPath(job, number, "artifacts"), nil, nil)
}

// Artifact opens one archived file. The caller closes it.
func (c *Client) Artifact(ctx context.Context, job string, number int, file string) (io.ReadCloser, error) {
	p := buildPath(job, number, "artifacts")
	for _, seg := range strings.Split(file, "/") {
		p += "/" + url.PathEscape(seg)
	}
	resp, err := c.request(ctx, "GET", p, nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Log opens the console log as plain text from the byte at offset on. With follow it goes on until the build has ended.
// The caller closes it. A stream that breaks off is resumed by calling again with what was read added to offset.
func (c *Client) Log(ctx context.Context, job string, number int, offset int64, follow bool) (io.ReadCloser, error) {
	q := url.Values{"offset": {strconv.FormatInt(offset, 10)}}
	if follow {
		q.Set("follow", "true")
	}
	resp, err := c.request(ctx, "GET", buildPath(job, number, "log"), q, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// LogLines returns count lines from line number from on (counted from 1).
func (c *Client) LogLines(ctx context.Context, job string, number int, from int64, count int) (api.LogPage, error) {
	q := url.Values{"from": {strconv.FormatInt(from, 10)}, "count": {strconv.Itoa(count)}}
	return call[api.LogPage](ctx, c, "GET", buildPath(job, number, "log", "lines"), q, nil)
}

// SearchLog returns the lines that match an RE2 expression, at most limit.
func (c *Client) SearchLog(ctx context.Context, job string, number int, expr string, limit int) ([]api.LogLine, error) {
	q := url.Values{"q": {expr}, "limit": {strconv.Itoa(limit)}}
	return call[[]api.LogLine](ctx, c, "GET", buildPath(job, number, "log", "search"), q, nil)
}

// Queue lists what waits for an executor, in order.
func (c *Client) Queue(ctx context.Context) ([]api.QueueItem, error) {
	return call[[]api.QueueItem](ctx, c, "GET", path("queue"), nil, nil)
}

// Why explains why an item waits.
func (c *Client) Why(ctx context.Context, item string) (api.Explanation, error) {
	return call[api.Explanation](ctx, c, "GET", path("queue", item, "why"), nil, nil)
}

// CreateJoinToken makes a one-use token for an agent.
func (c *Client) CreateJoinToken(ctx context.Context, j api.JoinTokenCreate) (api.JoinToken, error) {
	return call[api.JoinToken](ctx, c, "POST", path("agents", "tokens"), nil, j)
}

// Join exchanges a one-use token for the credential of a node.
func (c *Client) Join(ctx context.Context, j api.Join) (api.Joined, error) {
	return call[api.Joined](ctx, c, "POST", path("agents", "join"), nil, j)
}

// Tokens lists the tokens of the user.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	return call[[]api.Token](ctx, c, "GET", path("tokens"), nil, nil)
}

// CreateToken makes a token; its secret is in the answer and nowhere else.
func (c *Client) CreateToken(ctx context.Context, t api.TokenCreate) (api.Token, error) {
	return call[api.Token](ctx, c, "POST", path("tokens"), nil, t)
}

// RevokeToken ends a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", path("tokens", id), nil)
}

// RevokeTokens ends all tokens and sessions of the user of this client's token but this one.
func (c *Client) RevokeTokens(ctx context.Context) error {
	return c.do(ctx, "DELETE", path("tokens"), nil)
}

// UpdateUser changes a user's role, disables or enables a user.
func (c *Client) UpdateUser(ctx context.Context, name string, u api.UserUpdate) (api.User, error) {
	return call[api.User](ctx, c, "PATCH", path("users", name), nil, u)
}

// DeleteUser forgets a user and the user's tokens.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.do(ctx, "DELETE", path("users", name), nil)
}

// ResetPassword gives a user another password.
func (c *Client) ResetPassword(ctx context.Context, name, password string) error {
	return c.do(ctx, "POST", path("users", name, "password"), api.PasswordReset{New: password})
}

// UserTokens lists a user's tokens and sessions.
func (c *Client) UserTokens(ctx context.Context, name string) ([]api.Token, error) {
	return call[[]api.Token](ctx, c, "GET", path("users", name, "tokens"), nil, nil)
}

// RevokeUserTokens ends all of a user's tokens and sessions.
func (c *Client) RevokeUserTokens(ctx context.Context, name string) error {
	return c.do(ctx, "DELETE", path("users", name, "tokens"), nil)
}

// Users lists the users.
func (c *Client) Users(ctx context.Context) ([]api.User, error) {
	return call[[]api.User](ctx, c, "GET", path("users"), nil, nil)
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, u api.UserCreate) (api.User, error) {
	return call[api.User](ctx, c, "POST", path("users"), nil, u)
}

// Check validates a Jenkinsfile without running it.
func (c *Client) Check(ctx context.Context, k api.Check) (api.Checked, error) {
	return call[api.Checked](ctx, c, "POST", path("pipeline", "check"), nil, k)
}

// Backup opens a copy of what the controller cannot be without, as server.Restore takes it: a tar compressed by gzip. The caller closes it.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.request(ctx, "GET", path("admin", "backup"), nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
