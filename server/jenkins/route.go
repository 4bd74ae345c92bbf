package jenkins

import (
	"github.com/outwork-build/outwork/server/auth"
)

// route answers by the first segment of the path.
func (c *call) route() error {
	first := c.next()
	if f := refused[first]; f != nil {
		return f(c)
	}
	switch first {
	case "whoAmI":
		return c.api(c.whoAmI)
	case "api":
		c.rest = append([]string{first}, c.rest...)
		return c.readable(func() error { return c.api(c.hudson) })
	case "job":
		return c.job()
	case "createItem":
		return c.createItem("")
	case "computer":
		return c.readable(c.computers)
	case "queue":
		return c.readable(c.queue)
	case "view":
		return c.readable(c.view)
	case "label":
		return c.readable(c.label)
	case "overallLoad":
		return c.readable(func() error { return c.api(c.overallLoad) })
	case "user", "me":
		return c.readable(func() error { return c.users(first) })
	case "crumbIssuer":
		return c.readable(c.crumbIssuer)
	case "quietDown":
		return c.quietDown(true)
	case "cancelQuietDown":
		return c.quietDown(false)
	case "prometheus":
		return c.readable(c.prometheus)
	}
	return c.noPath()
}

// readable goes on for who may read.
func (c *call) readable(then func() error) error {
	if err := c.may(auth.Read, "Overall/Read"); err != nil {
		return err
	}
	return then()
}
