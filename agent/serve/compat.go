package serve

import (
	"net/url"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Compat makes this agent's command line of one for Jenkins' agent.jar: -url U -secret S -name N -workDir D and so on, with one
// dash, and SECRET NAME at the end. What is no option of Jenkins' stays as it is. ignored are the options that mean nothing here.
func Compat(args []string) (own, ignored []string, err error) {
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		o, known := jenkins(name)
		if args[i] == "--" {
			return append(own, args[i:]...), ignored, nil
		}
		if !known {
			own = append(own, args[i])
			continue
		}
		if o.value && !joined {
			if i++; i == len(args) {
				return nil, nil, fault.New(fault.Invalid, "%s: expected a value after it", name)
			}
			value = args[i]
		}
		switch {
		case o.read != nil:
			more, err := o.read(value)
			if err != nil {
				return nil, nil, fault.New(fault.Invalid, "%s %s: %w", name, value, err)
			}
			own = append(own, more...)
		case o.own == "":
			ignored = append(ignored, name)
		case o.value:
			own = append(own, o.own+"="+value)
		default:
			own = append(own, o.own)
		}
	}
	return own, ignored, nil
}

// Arguments takes what stands beside the flags: nothing, or SECRET NAME, as Jenkins' agent images are started.
func (c *Config) Arguments(args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case len(args) == 2 && c.Secret == "":
		c.Secret, c.Name = args[0], args[1]
		return nil
	}
	return fault.New(fault.Invalid, "unexpected argument %q", args[0])
}

// option is one of Jenkins' agent.
type option struct {
	own   string // ours; "": it means nothing here
	value bool   // a value follows
	read  func(value string) ([]string, error)
}

// jenkins knows the options. Source: Jenkins' documentation of agent.jar, "Launching inbound agents".
func jenkins(name string) (option, bool) {
	switch name {
	case "-url", "-secret", "-name", "-tunnel", "-direct":
		return option{own: "-" + name, value: true}, true
	case "-directConnection":
		return option{own: "--direct", value: true}, true
	case "-workDir":
		return option{own: "--root", value: true}, true
	case "-webSocketHeader":
		return option{own: "--header", value: true}, true
	case "-jnlpUrl":
		return option{value: true, read: readJNLP}, true
	case "-noReconnect", "-noreconnect":
		return option{own: "--once"}, true
	case "-text":
		return option{own: "--text"}, true
	case "-webSocket":
		return option{own: "--tcp=false"}, true
	case "-headless", "-noKeepAlive", "-ping", "-failIfWorkDirIsMissing", "-noCertificateCheck", "-disableHttpsCertValidation":
		return option{}, true
	case "-agentLog", "-auth", "-cert", "-connectTo", "-credentials", "-instanceIdentity", "-internalDir", "-jar-cache", "-jnlpCredentials", "-loggingConfig",
		"-noReconnectAfter", "-protocols", "-proxyCredentials":
		return option{value: true}, true
	}
	return option{}, false
}

// readJNLP takes the controller's address and the node's name out of ADDRESS/computer/NAME/jenkins-agent.jnlp.
func readJNLP(s string) ([]string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	base, rest, ok := strings.Cut(u.EscapedPath(), "/computer/")
	escaped, file, named := strings.Cut(rest, "/")
	name, err := url.PathUnescape(escaped)
	if !ok || !named || err != nil || name == "" || !strings.HasSuffix(file, ".jnlp") {
		return nil, fault.New(fault.Invalid, "expected ADDRESS/computer/NAME/jenkins-agent.jnlp")
	}
	u.RawQuery, u.Fragment, u.RawPath = "", "", base
	if u.Path, err = url.PathUnescape(base); err != nil {
		return nil, err
	}
	return []string{"--url=" + u.String(), "--name=" + name}, nil
}

// compatEnv reads, where a variable of ours is not set, the one of Jenkins' agent images. They count only with a JENKINS_SECRET:
// a build has a JENKINS_URL too.
func compatEnv(getenv func(string) string) func(string) string {
	return func(name string) string {
		if v := getenv(name); v != "" || getenv("JENKINS_SECRET") == "" {
			return v
		}
		switch name {
		case "OUTWORK_URL":
			return getenv("JENKINS_URL")
		case "OUTWORK_SECRET":
			return getenv("JENKINS_SECRET")
		case "OUTWORK_NAME":
			if v := getenv("JENKINS_NAME"); v != "" {
				return v
			}
			return getenv("JENKINS_AGENT_NAME")
		case "OUTWORK_TUNNEL":
			return getenv("JENKINS_TUNNEL")
		case "OUTWORK_DIRECT":
			return getenv("JENKINS_DIRECT_CONNECTION")
		case "OUTWORK_ROOT":
			return getenv("JENKINS_AGENT_WORKDIR")
		}
		return ""
	}
}

// ignoredEnv are the variables of Jenkins' agent images that are set and mean nothing here.
func ignoredEnv(getenv func(string) string) []string {
	var set []string
	for _, name := range []string{"JENKINS_INSTANCE_IDENTITY", "JENKINS_PROTOCOLS", "JENKINS_JAVA_BIN", "JENKINS_JAVA_OPTS", "JENKINS_AGENT_FILE", "REMOTING_OPTS"} {
		if getenv(name) != "" && getenv("JENKINS_SECRET") != "" {
			set = append(set, name)
		}
	}
	return set
}
