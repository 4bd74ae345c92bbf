package jenkins

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/internal/fault"
)

// Classes of a pipeline job's config.xml.
const (
	classScript       = "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"
	classSCM          = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
	classGit          = "hudson.plugins.git.GitSCM"
	classRemote       = "hudson.plugins.git.UserRemoteConfig"
	classBranch       = "hudson.plugins.git.BranchSpec"
	classParameters   = "hudson.model.ParametersDefinitionProperty"
	classNoConcurrent = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
	classDiscarder    = "jenkins.model.BuildDiscarderProperty"
)

// jobFromXML reads a config.xml into a job that is new, or that there is.
func jobFromXML(doc *xmlNode, j *build.Job) error {
	switch doc.name {
	case "flow-definition", classJob:
	case classFolder:
		return fault.New(fault.Invalid, "config.xml: folders are not made: a job called %q brings its folder with it", string(j.Name)+"/JOB")
	default:
		return fault.New(fault.Invalid, "config.xml: <%s>: expected <flow-definition>: Outwork's jobs are pipelines", doc.name)
	}
	def := doc.at("definition")
	switch def.kind() {
	case classScript:
		script := def.at("script")
		if script == nil || strings.TrimSpace(script.text) == "" {
			return fault.New(fault.Invalid, "config.xml: definition/script: expected a Jenkinsfile")
		}
		j.Source = build.Source{Script: script.text}
	case classSCM:
		git, err := gitSource(def)
		if err != nil {
			return err
		}
		j.Source = build.Source{Git: git}
	default:
		return fault.New(fault.Invalid, "config.xml: definition %q: expected %s or %s", def.kind(), classScript, classSCM)
	}
	j.Description = doc.value("description")
	j.Disabled = doc.value("disabled") == "true"
	if ps := doc.at("properties"); ps != nil {
		return jobProperties(ps, &j.Properties)
	}
	return nil
}

func gitSource(def *xmlNode) (*build.GitSource, error) {
	scm := def.at("scm")
	if scm.kind() != classGit {
		return nil, fault.New(fault.Invalid, "config.xml: definition/scm %q: expected %s", scm.kind(), classGit)
	}
	remotes, branches := scm.at("userRemoteConfigs"), scm.at("branches")
	g := &build.GitSource{URL: remotes.value(classRemote, "url"), Path: def.value("scriptPath")}
	if g.URL == "" {
		return nil, fault.New(fault.Invalid, "config.xml: definition/scm/userRemoteConfigs: expected a url")
	}
	if len(remotes.children) > 1 || branches != nil && len(branches.children) > 1 {
		return nil, fault.New(fault.Invalid, "config.xml: definition/scm: expected one repository and one branch")
	}
	g.Ref = strings.TrimPrefix(strings.TrimPrefix(branches.value(classBranch, "name"), "*/"), "origin/")
	if g.Ref == "**" || strings.Contains(g.Ref, "*") {
		return nil, fault.New(fault.Invalid, "config.xml: definition/scm/branches: %q: expected one branch", g.Ref)
	}
	return g, nil
}

// jobProperties reads what a config.xml says of parameters, concurrency and old builds. What the Jenkinsfile declares replaces it at
// the next run.
func jobProperties(ps *xmlNode, p *build.Properties) error {
	*p = build.Properties{DisableConcurrent: ps.at(classNoConcurrent) != nil}
	p.AbortPrevious = ps.value(classNoConcurrent, "abortPrevious") == "true"
	if s := ps.at(classDiscarder, "strategy"); s != nil {
		p.KeepBuilds, p.KeepDays, p.KeepArtifacts = kept(s, "numToKeep"), kept(s, "daysToKeep"), kept(s, "artifactNumToKeep")
	}
	defs := ps.at(classParameters, "parameterDefinitions")
	if defs == nil {
		return nil
	}
	for _, d := range defs.children {
		param, err := parameter(d)
		if err != nil {
			return err
		}
		p.Parameters = append(p.Parameters, param)
	}
	return nil
}

// kept is a number of LogRotator, where -1 and nothing keep all.
func kept(s *xmlNode, name string) int {
	n, err := strconv.Atoi(s.value(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func parameter(d *xmlNode) (build.Parameter, error) {
	p := build.Parameter{Name: d.value("name"), Default: d.value("defaultValue"), Description: d.value("description")}
	for kind, name := range parameterKinds {
		if d.name == "hudson.model."+name+"ParameterDefinition" {
			p.Kind = kind
		}
	}
	if p.Kind == "" {
		return p, fault.New(fault.Invalid, "config.xml: parameter %q: %s: expected a string, text, boolean, choice or password", p.Name, d.name)
	}
	if p.Name == "" {
		return p, fault.New(fault.Invalid, "config.xml: %s: expected a name", d.name)
	}
	if p.Kind == "boolean" && p.Default == "" {
		p.Default = "false"
	}
	if p.Kind == "choice" {
		choices := d.at("choices")
		if inner := choices.at("a"); inner != nil { // a list of java.util.Arrays
			choices = inner
		}
		if choices != nil {
			for _, c := range choices.children {
				p.Choices = append(p.Choices, c.text)
			}
		}
		if len(p.Choices) == 0 {
			return p, fault.New(fault.Invalid, "config.xml: parameter %q: expected choices", p.Name)
		}
		p.Default = p.Choices[0]
	}
	return p, nil
}

// jobXML writes a job's config.xml.
func jobXML(j build.Job) []byte {
	var w xmlWriter
	w.open("flow-definition", `plugin="workflow-job"`)
	w.empty("actions", "")
	w.leaf("description", j.Description)
	w.leaf("keepDependencies", "false")
	writeProperties(&w, j.Properties)
	switch s := j.Source; {
	case s.Git != nil:
		w.open("definition", class(classSCM)+` plugin="workflow-cps"`)
		w.open("scm", class(classGit)+` plugin="git"`)
		w.leaf("configVersion", "2")
		w.open("userRemoteConfigs", "")
		w.open(classRemote, "")
		w.leaf("url", s.Git.URL)
		w.close(classRemote)
		w.close("userRemoteConfigs")
		w.open("branches", "")
		w.open(classBranch, "")
		w.leaf("name", s.Git.Ref)
		w.close(classBranch)
		w.close("branches")
		w.close("scm")
		path := s.Git.Path
		if path == "" {
			path = "Jenkinsfile"
		}
		w.leaf("scriptPath", path)
		w.leaf("lightweight", "true")
		w.close("definition")
	default:
		w.open("definition", class(classScript)+` plugin="workflow-cps"`)
		w.leaf("script", s.Script)
		w.leaf("sandbox", "true")
		w.close("definition")
	}
	w.empty("triggers", "")
	w.leaf("disabled", strconv.FormatBool(j.Disabled))
	w.close("flow-definition")
	return w.document()
}

func writeProperties(w *xmlWriter, p build.Properties) {
	w.open("properties", "")
	if p.DisableConcurrent {
		w.open(classNoConcurrent, "")
		w.leaf("abortPrevious", strconv.FormatBool(p.AbortPrevious))
		w.close(classNoConcurrent)
	}
	if p.KeepBuilds > 0 || p.KeepDays > 0 || p.KeepArtifacts > 0 {
		w.open(classDiscarder, "")
		w.open("strategy", class("hudson.tasks.LogRotator"))
		for _, f := range []struct {
			name string
			n    int
		}{{"daysToKeep", p.KeepDays}, {"numToKeep", p.KeepBuilds}, {"artifactDaysToKeep", 0}, {"artifactNumToKeep", p.KeepArtifacts}} {
			if f.n == 0 {
				f.n = -1
			}
			w.leaf(f.name, fmt.Sprint(f.n))
		}
		w.close("strategy")
		w.close(classDiscarder)
	}
	if len(p.Parameters) > 0 {
		w.open(classParameters, "")
		w.open("parameterDefinitions", "")
		for _, d := range p.Parameters {
			writeParameter(w, d)
		}
		w.close("parameterDefinitions")
		w.close(classParameters)
	}
	w.close("properties")
}

func writeParameter(w *xmlWriter, d build.Parameter) {
	kind := parameterKinds[d.Kind]
	if kind == "" {
		kind = "String"
	}
	name := "hudson.model." + kind + "ParameterDefinition"
	w.open(name, "")
	w.leaf("name", d.Name)
	w.leaf("description", d.Description)
	switch d.Kind {
	case "choice":
		w.open("choices", class("java.util.Arrays$ArrayList"))
		w.open("a", class("string-array"))
		for _, c := range d.Choices {
			w.leaf("string", c)
		}
		w.close("a")
		w.close("choices")
	case "password": // never shown
	default:
		w.leaf("defaultValue", d.Default)
	}
	w.close(name)
}
