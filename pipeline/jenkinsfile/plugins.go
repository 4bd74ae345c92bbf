package jenkinsfile

// PluginSteps returns the names of steps that plugins bring to Jenkins, those that Jenkinsfiles use most, for Known.Elsewhere.
func PluginSteps() []string {
	return []string{
		"ansiColor", "build", "cleanWs", "cobertura", "configFileProvider", "container", "copyArtifacts", "credentials", "emailext",
		"findFiles", "githubNotify", "httpRequest", "input", "jacoco", "javadoc", "junit", "library", "libraryResource", "load", "lock", "mail",
		"milestone", "nexusArtifactUploader", "nodesByLabel", "podTemplate", "publishHTML", "readCSV", "readJSON", "readManifest",
		"readMavenPom", "readProperties", "readTrusted", "readYaml", "recordCoverage", "recordIssues", "resolveScm", "rtUpload", "slackSend",
		"splitTests", "sshCommand", "sshPublisher", "sshagent", "tee", "unzip", "waitForQualityGate", "withAWS", "withCredentials",
		"withDockerContainer", "withDockerRegistry", "withGradle", "withKubeConfig", "withMaven", "withSonarQubeEnv", "withVault", "wrap",
		"writeJSON", "writeMavenPom", "writeYaml", "ws", "xunit", "xvnc", "zip",
	}
}

// elsewhere reports whether a name is a step of Jenkins' that nothing here answers.
func (m *modeler) elsewhere(name string) bool {
	return contains(m.known.Elsewhere, name) && m.steps[name] == nil && !m.names.has(name) && !m.isKnown(name)
}

// checkLibraries refuses code that comes from elsewhere: with it, no other name is certain.
func (m *modeler) checkLibraries() {
	if !m.known.NoLibraries {
		return
	}
	annotation := func(a *Annotation) {
		if a.Name[lastDot(a.Name)+1:] == "Library" {
			m.errorf(a, "@%s: shared libraries are not supported", a.Name)
		}
	}
	for _, i := range m.file.Imports {
		for _, a := range i.Annotations {
			annotation(a)
		}
	}
	for _, s := range m.file.Body {
		Walk(s, func(n Node) bool {
			switch n := n.(type) {
			case *Annotation:
				annotation(n)
			case *Call:
				if name, c := namedCall(n); c != nil && (name == "library" || name == "load") && m.elsewhere(name) {
					m.errorf(n, "Unknown step \"%s\": code from other files is not supported", name)
				}
			}
			return true
		})
	}
}
