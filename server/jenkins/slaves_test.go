package jenkins

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// Jenkins' launchers and strategies become Outwork's, and what Outwork has besides stays when a config.xml is written back.
func TestLaunchersOfJenkins(t *testing.T) {
	const verifier = "hudson.plugins.sshslaves.verifiers."
	for name, x := range map[string]struct{ json, want string }{
		"nothing": {`{}`, `{"kind":"inbound"}`},
		"ssh, as python-jenkins sends it": {`{"launcher": {"stapler-class": "hudson.plugins.sshslaves.SSHLauncher", "port": "2222", "username": "ci", "credentialsId": "file:/k", "host": "h"}}`,
			`{"kind":"ssh","config":{"host":"h","key":"file:/k","port":"2222","user":"ci"}}`},
		"ssh, as the form sends it": {`{"launcher": {"$class": "hudson.plugins.sshslaves.SSHLauncher", "host": "h", "port": 22, "launchTimeoutSeconds": "60", "maxNumRetries": "10", "retryWaitTime": "15",
			"prefixStartSlaveCmd": "nice ", "suffixStartSlaveCmd": " -v", "javaPath": "/opt/java", "sshHostKeyVerificationStrategy": {"$class": "` + verifier + `ManuallyProvidedKeyVerificationStrategy", "key": "ssh-ed25519 AAAA"}}}`,
			`{"kind":"ssh","config":{"host":"h","hostKey":"pinned","pinnedKey":"ssh-ed25519 AAAA","port":"22","prefix":"nice","retries":"10","retryWait":"15s","suffix":"-v","timeout":"60s"}}`},
		"first use": {`{"launcher": {"$class": "hudson.plugins.sshslaves.SSHLauncher", "host": "h", "sshHostKeyVerificationStrategy": {"$class": "` + verifier + `ManuallyTrustedKeyVerificationStrategy", "requireInitialManualTrust": true}}}`,
			`{"kind":"ssh","config":{"approve":"true","host":"h","hostKey":"first-use"}}`},
		// S1-23
		"Windows": {`{"launcher": {"$class": "hudson.os.windows.ManagedWindowsServiceLauncher", "userName": "CORP\\ci", "password": "env:WIN", "host": "w", "account": {"value": "0", "$class": "hudson.os.windows.ManagedWindowsServiceAccount$LocalSystem"}}}`,
			`{"kind":"winrm","config":{"host":"w","password":"env:WIN","user":"CORP\\ci"}}`},
		"a command": {`{"launcher": {"stapler-class": "hudson.slaves.CommandLauncher", "command": "ssh h outwork-agent --stdio"}}`, `{"kind":"command","config":{"command":"ssh h outwork-agent --stdio"}}`},
	} {
		n := fleet.Node{Name: "n"}
		if err := slaveFromJSON(x.json, &n); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := launcherText(t, n); got != x.want {
			t.Errorf("%s: got %s, want %s", name, got, x.want)
		}
		var w xmlWriter
		w.open("slave", "")
		writeLauncher(&w, n.Launcher)
		writeRetention(&w, n.Retention)
		w.close("slave")
		doc, err := parseXML(w.document())
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, w.document())
		}
		if n.Launcher.Config != nil {
			n.Launcher.Config["jump"] = "bastion"
		}
		want := launcherText(t, n)
		if err := slaveFromXML(doc, &n); err != nil || launcherText(t, n) != want {
			t.Errorf("%s: written back: %v %s, want %s", name, err, launcherText(t, n), want)
		}
	}
	for text, says := range map[string]string{
		`{"launcher": {"$class": "hudson.os.windows.ManagedWindowsServiceLauncher", "userName": "ci", "password": "hunter2"}}`:                  "file:/PATH",
		`{"launcher": {"$class": "hudson.plugins.sshslaves.SSHLauncher", "credentialsId": "my-key"}}`:                                           "file:/PATH",
		`{"launcher": {"$class": "hudson.plugins.sshslaves.SSHLauncher", "sshHostKeyVerificationStrategy": {"$class": "x.Y"}}}`:                 "KeyVerificationStrategy",
		`{"retentionStrategy": {"$class": "hudson.slaves.SimpleScheduledRetentionStrategy", "startTimeSpec": "99 * * * *", "upTimeMins": "5"}}`: "startTimeSpec",
		`{"mode": "NORMAL", "numExecutors": -1}`: "numExecutors",
		`[]`:                                     "json",
	} {
		n := fleet.Node{Name: "n"}
		if err := slaveFromJSON(text, &n); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func launcherText(t *testing.T, n fleet.Node) string {
	t.Helper()
	text, err := json.Marshal(n.Launcher)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzConfigXML(f *testing.F) {
	for _, s := range []string{"<slave><name>a</name></slave>", "<?xml version='1.1'?><flow-definition><definition class='x'/></flow-definition>", "<a>&lt;<![CDATA[x]]></a>", "<a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := parseXML(body)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		var n fleet.Node
		_ = slaveFromXML(doc, &n) // must not panic
	})
}
