package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestWorkflowsHoldNoLogicAndNoMorePowerThanTheySay(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Permissions map[string]string
				Strategy    struct{ Matrix struct{ Target []string } }
				Steps       []struct{ Uses, Run string }
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &workflow), path)
		assert.NotNil(t, workflow.Permissions, path)
		assert.Empty(t, workflow.Permissions, path)
		for name, job := range workflow.Jobs {
			assert.NotEmpty(t, job.Permissions, name)
			for _, step := range job.Steps {
				if step.Uses != "" {
					assert.Regexp(t, `@[0-9a-f]{40}$`, step.Uses)
					continue
				}
				runs := []string{step.Run}
				if step.Run == "make ${{ matrix.target }}" {
					runs = nil
					for _, target := range job.Strategy.Matrix.Target {
						runs = append(runs, "make "+target)
					}
				}
				for _, run := range runs {
					if run == "bash .ci/run" {
						continue
					}
					target := regexp.MustCompile(`^make ([a-z-]+)( [A-Z]+=[0-9a-z]+)?$`).FindStringSubmatch(run)
					require.NotNil(t, target, run)
					assert.Contains(t, string(makefile), "\n"+target[1]+":", run)
				}
			}
		}
	}
}

type (
	workflow struct {
		On   map[string]any
		Jobs map[string]job
	}
	job struct {
		Needs names
		Steps []step
		calm  `yaml:",inline"`
	}
	step struct {
		Run  string
		calm `yaml:",inline"`
	}
	// calm is how a job or a step is green although it failed, or was not run.
	calm struct {
		If              any `yaml:"if"`
		ContinueOnError any `yaml:"continue-on-error"`
	}
	// names are one or a list.
	names []string
)

func (n *names) UnmarshalYAML(value *yaml.Node) error {
	if value.Kind == yaml.ScalarNode {
		*n = names{value.Value}
		return nil
	}
	return value.Decode((*[]string)(n))
}

// at returns the place of the step that runs a command, -1 if none does.
func (j job) at(command string) int {
	return slices.IndexFunc(j.Steps, func(s step) bool { return s.Run == command })
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	all := map[string]workflow{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var one workflow
		require.NoError(t, yaml.Unmarshal(text, &one), path)
		all[filepath.Base(path)] = one
	}
	return all
}

func TestNoWorkflowIsGreenAlthoughSomethingFailedOrWasLeftOut(t *testing.T) {
	for file, workflow := range workflows(t) {
		for name, job := range workflow.Jobs {
			assert.Zero(t, job.calm, "%s: %s", file, name)
			for _, step := range job.Steps {
				assert.Zero(t, step.calm, "%s: %s: %s", file, name, step.Run)
			}
		}
	}
}

func TestEveryChangeGoesThroughTheGates(t *testing.T) {
	ci := workflows(t)["ci.yml"]
	assert.Contains(t, ci.On, "pull_request")
	assert.Contains(t, ci.On, "push")
	for _, command := range []string{"bash .ci/run", "make test", "make vulncheck"} {
		found := false
		for _, job := range ci.Jobs {
			found = found || job.at(command) >= 0
		}
		assert.True(t, found, command)
	}
}

func TestNothingIsReleasedUnlessItsVersionIsRightAndTheGatesPassed(t *testing.T) {
	released := 0
	for file, workflow := range workflows(t) {
		for name, job := range workflow.Jobs {
			publish := job.at("make publish")
			if publish < 0 {
				continue
			}
			released++
			assert.True(t, 0 <= job.at("make dist") && job.at("make dist") < publish, "%s: %s", file, name)
			for _, command := range []string{"make release-check", "bash .ci/run"} {
				needed := false
				for _, other := range job.Needs {
					needed = needed || workflow.Jobs[other].at(command) >= 0
				}
				assert.True(t, needed, "%s: %s does not need %s", file, name, command)
			}
		}
	}
	assert.Equal(t, 1, released)
}

// Whoever may push a tag names it, and whoever writes an issue names an address to try.
func TestNothingInANameIsRun(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil || runtime.GOOS == "windows" {
		t.Skip("needs make and a shell")
	}
	mark := filepath.Join(t.TempDir(), "ran")
	evil := "v1';touch " + mark + ";'\"$(touch " + mark + ")`touch " + mark + "`$(shell touch " + mark + ")"
	for target, variable := range map[string]string{"release-check": "VERSION", "spec-sync": "FROM", "spec-watch": "FROM", "spec-report": "OLD"} {
		cmd := exec.Command("make", "--no-print-directory", target, "GO=echo")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), variable+"="+evil)
		printed, err := cmd.CombinedOutput()
		require.NoError(t, err, string(printed))
		assert.Contains(t, string(printed), evil)
		assert.NoFileExists(t, mark)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for line := range strings.Lines(string(makefile)) {
		assert.NotRegexp(t, `\$\((VERSION|FROM|OLD|NEW)\)`, line)
	}
}

// Git on Windows writes lines its own way unless it is told not to. The description is compared by
// its SHA-256.
func TestACheckoutOnWindowsHasTheSameBytes(t *testing.T) {
	directory := t.TempDir()
	p := project{filepath.Join(directory, "first")}
	require.NoError(t, os.MkdirAll(filepath.Dir(p.description()), 0o755))
	require.NoError(t, os.WriteFile(p.description(), current(t), 0o644))
	attributes, err := os.ReadFile(filepath.Join(root, ".gitattributes"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(p.root, ".gitattributes"), attributes, 0o644))
	p.git(t, "init", "--quiet")
	p.git(t, "add", ".")
	p.git(t, "commit", "--quiet", "-m", "A description")
	there := project{filepath.Join(directory, "second")}
	p.git(t, "clone", "--quiet", "-c", "core.autocrlf=true", p.root, there.root)
	text, err := os.ReadFile(there.description())
	require.NoError(t, err)
	assert.Equal(t, sum(current(t)), sum(text))
}
