package declarative

import (
	"errors"
	"strings"

	"github.com/outwork-build/outwork/pipeline/interp"
	"github.com/outwork-build/outwork/pipeline/jenkinsfile"
	"github.com/outwork-build/outwork/pipeline/value"
)

// withTools runs body with the tools of a section on its PATH, as Jenkins' kinds of tools have it. A tool that the node does not have is no
// error: the pipeline may well find it on the PATH that the machine has. Without a node nothing is done.
func (d *driver) withTools(t *interp.Thread, list []*jenkinsfile.Tool, body func() error) error {
	if len(list) == 0 || t.Scope().Node == nil || d.steps["tool"] == nil {
		return body()
	}
	var vars []string
	find := func() error {
		for _, tool := range list {
			more, err := d.tool(t, tool)
			if err != nil {
				return err
			}
			vars = append(vars, more...)
		}
		return nil
	}
	var err error
	if t.Scope().Stage == "" {
		err = call(t, "stage", map[string]value.Value{"name": "Declarative: Tool Install"}, find)
	} else {
		err = find()
	}
	if err != nil {
		return err
	}
	return withEnv(t, vars, body)
}

// tool finds one tool and returns the variables that lead to it.
func (d *driver) tool(t *interp.Thread, tool *jenkinsfile.Tool) ([]string, error) {
	v, err := t.Eval(tool.Name, nil)
	if err != nil {
		return nil, err
	}
	found, err := t.CallStep("tool", map[string]value.Value{"name": text(v), "type": tool.Type}, nil)
	var missing *value.Exception
	if errors.As(err, &missing) && strings.HasPrefix(missing.Message, "No tool named ") {
		t.Print(missing.Message + ". What is on its PATH is used.")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	home, separator := text(found), "/"
	if t.Scope().Node.OS == "windows" {
		separator = `\`
	}
	return variables(tool.Type, home, home+separator+"bin"), nil
}

// variables are what a kind of tool sets in Jenkins. Source: ToolInstallation.buildEnvVars of each kind.
func variables(kind, home, bin string) []string {
	switch kind {
	case "jdk":
		return []string{"JAVA_HOME=" + home, "PATH+JDK=" + bin}
	case "maven":
		return []string{"M2_HOME=" + home, "MAVEN_HOME=" + home, "PATH+MAVEN=" + bin}
	case "ant", "gradle", "nodejs":
		kind = strings.ToUpper(kind)
		return []string{kind + "_HOME=" + home, "PATH+" + kind + "=" + bin}
	}
	return []string{"PATH+" + strings.ToUpper(kind) + "=" + home}
}

// toolsOf are a stage's tools: with an agent of its own also those of the pipeline, but for kinds that it names itself.
func (d *driver) toolsOf(s *jenkinsfile.Stage) []*jenkinsfile.Tool {
	if s.Agent == nil {
		return s.Tools
	}
	own := map[string]bool{}
	for _, tool := range s.Tools {
		own[tool.Type] = true
	}
	var all []*jenkinsfile.Tool
	for _, tool := range d.p.Tools {
		if !own[tool.Type] {
			all = append(all, tool)
		}
	}
	return append(all, s.Tools...)
}
