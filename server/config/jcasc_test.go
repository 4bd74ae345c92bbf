package config

import (
	"strings"
	"testing"
)

// jcascFile is a file as Jenkins' plugin takes it.
const jcascFile = `jenkins:
  systemMessage: "text"
  numExecutors: 0
  mode: NORMAL
  agentProtocols: ["JNLP4-connect"]
  nodeMonitors:
    - "architecture"
    - diskSpace: {freeSpaceThreshold: "3GB"}
    - responseTime: {ignored: true}
  nodes:
    - permanent:
        name: ssh-1
        nodeDescription: "big box"
        remoteFS: /var/jenkins
        numExecutors: 4
        mode: EXCLUSIVE
        labelString: "linux ubuntu16.04 us-east"
        retentionStrategy:
          demand: {inDemandDelay: 1, idleDelay: 10}
        nodeProperties:
          - envVars: {env: [{key: JAVA_HOME, value: /opt/java-1.8}]}
          - toolLocation: {locations: [{home: /usr/bin/git, key: "hudson.plugins.git.GitTool$DescriptorImpl@Default"}]}
        launcher:
          ssh:
            host: 192.168.1.1
            port: 22
            credentialsId: test
            launchTimeoutSeconds: 60
            maxNumRetries: 3
            javaPath: /usr/bin/java
            prefixStartSlaveCmd: "nice "
    - permanent:
        name: inbound-1
        remoteFS: /home/user1
        retentionStrategy: always
        launcher:
          inbound: {webSocket: true, tunnel: "some.proxy:50000"}
    - dumb:
        name: script-1
        launcher: {command: {command: "ssh mynode java -jar ~/bin/agent.jar"}}
        retentionStrategy:
          schedule: {startTimeSpec: "0 8 * * 1-5", upTimeMins: 600, keepUpWhenActive: true}
  clouds:
    - docker: {name: my-docker}
unclassified:
  location: {url: "${CI_URL}"}
`

func TestJenkinsNodesAreTaken(t *testing.T) {
	d, left, err := Import("jenkins.yaml", jcascFile)
	if err != nil {
		t.Fatal(err)
	}
	want := `version: 1
farm:
  monitors:
    disk:
      bad: "3000000000"
    response:
      action: ignore
nodes:
  - name: ssh-1
    description: "big box"
    executors: 4
    labels: [linux, ubuntu16.04, us-east]
    mode: exclusive
    remoteRoot: /var/jenkins
    env:
      JAVA_HOME: /opt/java-1.8
    tools:
      "hudson.plugins.git.GitTool$DescriptorImpl@Default": /usr/bin/git
    launcher:
      ssh:
        host: "192.168.1.1"
        port: "22"
        prefix: "nice "
        retries: "3"
        timeout: 60s
    retention:
      demand:
        idleDelay: "10"
        inDemandDelay: "1"
  - name: inbound-1
    executors: 1
    remoteRoot: /home/user1
    launcher: inbound
  - name: script-1
    executors: 1
    launcher:
      command:
        command: "ssh mynode java -jar ~/bin/agent.jar"
    retention:
      schedule:
        keepUpWhenActive: "true"
        startTimeSpec: "0 8 * * 1-5"
        upTimeMins: "600"
`
	want = strings.Replace(want, "timeout: 60s", `timeout: "60s"`, 1) // it begins with a digit
	if got := d.Write(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	all := strings.Join(left, "\n")
	for _, want := range []string{"jenkins.yaml:2:3: jenkins.systemMessage", "jenkins.yaml:27:28: jenkins.nodes[0].permanent.launcher.ssh.credentialsId: left out: the credential \"test\"",
		"launcher.inbound.tunnel", "starts Jenkins' agent", "jenkins.clouds", "unclassified", "jenkins.yaml:46:20: ${…}"} {
		if !strings.Contains(all, want) {
			t.Errorf("not said: %s\n%s", want, all)
		}
	}
	if len(left) != 7 {
		t.Errorf("%d left:\n%s", len(left), all)
	}
}

func TestWhatIsNotJenkins(t *testing.T) {
	for _, text := range []string{"", "- x", "jenkins: {nodes: [", "a: b"} {
		d, left, err := Import("f", text)
		if err == nil && len(left) == 0 {
			t.Errorf("%q was taken: %+v", text, d)
		}
	}
}
