package jenkins

import "net/http"

// refused are the paths that cannot be answered honestly, with what to do instead. They change nothing and tell nothing, so everybody
// gets the answer.
var refused = map[string]func(*call) error{
	"script": noScripts, "scriptText": noScripts,
	"pluginManager": gone("there are no plugins: what Outwork does is in its one binary"),
	"updateCenter":  gone("there are no plugins: what Outwork does is in its one binary"),
	"jnlpJars":      noRemoting, "wsagents": noRemoting, "tcpSlaveAgentListener": noRemoting,
	"cli":                   gone("there is no Java CLI: use the outwork command, which has the same verbs"),
	"createView":            gone("views are not made: the one that there is is called all"),
	"credentials":           gone("credentials are not read over HTTP"),
	"configuration-as-code": gone("configuration is not in Jenkins' form: see outwork config"),
	"blue":                  gone("Blue Ocean's API is not served: builds and stages are at /api/v1, and at /job/NAME/NUMBER/wfapi/describe"),
	"manage":                gone("the controller is managed with the outwork command and /api/v1"),
	"restart":               notHere, "safeRestart": notHere, "exit": notHere, "safeExit": notHere, "reload": notHere,
}

func gone(why string) func(*call) error {
	return func(c *call) error { return refuse(http.StatusNotFound, "Not Found: %s", why) }
}

func noScripts(c *call) error {
	return refuse(http.StatusForbidden, "Scripts are not run in the controller: it has no Groovy of its own. What scripts do is done with the native API: %s/api/v1/openapi.json", c.URL())
}

func noRemoting(c *call) error {
	return refuse(http.StatusNotFound, "Not Found: agents of Jenkins cannot connect here. Outwork's agent is one binary: make a token with outwork node token (or POST %s/api/v1/agents/tokens) and start outwork agent with it", c.URL())
}

func notHere(c *call) error {
	return refuse(http.StatusForbidden, "The controller is stopped and started by what started it (systemd, for example), not over HTTP. Builds go on where they were.")
}
