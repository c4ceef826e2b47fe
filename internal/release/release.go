package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/connectpsp/connectpsp-go/internal/contract"
)

// apidiff compares the exported Go API of two versions of a module. It is run and not imported, so
// that its go.mod does not raise the requirements of the SDK.
const apidiff = "golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4"

// progress has the changes since a release.
type progress struct {
	last    version // the release; zero if there is none
	next    version // the lowest version that may follow; the version in the code without a release
	inCode  version // connectpsp.Version
	reports []contract.Report
}

// api reports the changes since the last release.
func (p project) api(ctx context.Context, out io.Writer) (status int, err error) {
	since, err := p.since(ctx, version{})
	if errors.Is(err, errPart) {
		fmt.Fprintf(out, "Nothing was compared: %v\n", err)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if since.last == (version{}) {
		fmt.Fprintf(out, "Nothing has been released yet. The first version will be %v.\n", since.inCode)
		return 0, nil
	}
	for _, r := range since.reports {
		fmt.Fprint(out, r)
	}
	return since.verdict(out), nil
}

// verdict reports the next version. The status is 4 if users break and the version in the code is
// too low for that, and otherwise 0.
func (p progress) verdict(out io.Writer) (status int) {
	worst := contract.Nothing
	for _, r := range p.reports {
		worst = max(worst, r.Level())
	}
	if worst == contract.Nothing {
		return 0
	}
	fmt.Fprintf(out, "The version after %v is at least %v.\n", p.last, p.next)
	if worst < contract.Breaking || p.inCode.compare(p.next) >= 0 {
		return 0
	}
	fmt.Fprintf(out, "Users break. If that is meant, set connectpsp.Version to %v or later and say in CHANGELOG.md what they have to do.\n", p.next)
	return 4
}

// check refuses a version that may not be released, and writes the notes of a version that may.
func (p project) check(ctx context.Context, tag string, out io.Writer) error {
	wanted, err := parseVersion(tag)
	if err != nil {
		return err
	}
	since, err := p.since(ctx, wanted)
	if err != nil {
		return err
	}
	if since.inCode != wanted {
		return fmt.Errorf("connectpsp.Version is %v and not %v", since.inCode, wanted)
	}
	if wanted.compare(since.next) < 0 {
		return fmt.Errorf("what has changed since %v makes the next version at least %v: run make api", since.last, since.next)
	}
	if err := p.releasable(ctx, wanted); err != nil {
		return err
	}
	notes, err := p.notes(wanted)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, notes)
	for _, r := range since.reports {
		fmt.Fprintf(out, "\n%s", r.Markdown())
	}
	return nil
}

// releasable refuses a version that is released already, or that the go command would not accept
// for the module path.
func (p project) releasable(ctx context.Context, v version) error {
	released, err := output(ctx, p.root, "git", "tag", "--list", "--no-contains", "HEAD", v.String())
	if err != nil {
		return err
	}
	if released != "" {
		return fmt.Errorf("%v has been released from an earlier commit, and a tag is never moved", v)
	}
	path, err := p.modulePath()
	if err != nil {
		return err
	}
	if wanted := pathOf(path, v); path != wanted {
		return fmt.Errorf("the module path has to be %s for %v and is %s: change it in go.mod, in every import, "+
			"and wherever else CONTRIBUTING.md says", wanted, v, path)
	}
	return p.requires("otel", path, v)
}

// since compares the checkout with the last release before a version, or with the latest release if
// the version is zero.
func (p project) since(ctx context.Context, before version) (progress, error) {
	var found progress
	var err error
	if found.inCode, err = p.versionInCode(); err != nil {
		return found, err
	}
	found.next = found.inCode
	if found.last, err = p.lastRelease(ctx, before); err != nil || found.last == (version{}) {
		return found, err
	}
	directory, err := os.MkdirTemp("", "release")
	if err != nil {
		return found, err
	}
	defer os.RemoveAll(directory)
	old := project{filepath.Join(directory, "old")}
	if _, err := output(ctx, "", "git", "clone", "--quiet", "--shared", "--branch", found.last.String(), p.root, old.root); err != nil {
		return found, err
	}
	code, err := compareCode(ctx, directory, old, p)
	if err != nil {
		return found, err
	}
	description, err := compareDescriptions(old, p)
	if err != nil {
		return found, err
	}
	code.From, code.To = found.last.String(), "this checkout"
	found.reports = []contract.Report{code, description}
	found.next = found.last.next(max(code.Level(), description.Level()))
	return found, nil
}

var errPart = errors.New("this is a part of the repository, which may lack the tags of releases: git fetch --unshallow --tags")

// lastRelease returns the highest tagged version, below a bound if there is one.
func (p project) lastRelease(ctx context.Context, below version) (last version, err error) {
	tags, err := output(ctx, p.root, "git", "tag", "--list", "v*")
	if err != nil {
		return last, err
	}
	for tag := range strings.FieldsSeq(tags) {
		found, err := parseVersion(tag)
		if err == nil && found.compare(last) > 0 && (below == version{} || found.compare(below) < 0) {
			last = found
		}
	}
	if last == (version{}) {
		shallow, err := output(ctx, p.root, "git", "rev-parse", "--is-shallow-repository")
		if err != nil || strings.TrimSpace(shallow) == "true" {
			return last, errors.Join(errPart, err)
		}
	}
	return last, nil
}

func compareDescriptions(old, now project) (contract.Report, error) {
	var apis [2]*contract.API
	for i, p := range []project{old, now} {
		text, err := os.ReadFile(p.description())
		if err != nil {
			return contract.Report{}, err
		}
		if apis[i], err = contract.Read(text); err != nil {
			return contract.Report{}, err
		}
	}
	return contract.Changes(apis[0], apis[1]), nil
}

func compareCode(ctx context.Context, directory string, old, now project) (contract.Report, error) {
	path, err := now.modulePath()
	if err != nil {
		return contract.Report{}, err
	}
	before, err := old.modulePath()
	if err != nil {
		return contract.Report{}, err
	}
	// apidiff identifies a type by the full path of its package. So across two module paths it
	// reports every declaration that mentions a type of another package.
	if err := old.rename(before, path); err != nil {
		return contract.Report{}, err
	}
	var exports [2]string
	for i, p := range []project{old, now} {
		exports[i] = filepath.Join(directory, fmt.Sprintf("%d.export", i))
		if _, err := output(ctx, p.root, "go", "run", apidiff, "-m", "-w", exports[i], path); err != nil {
			return contract.Report{}, err
		}
	}
	text, err := output(ctx, now.root, "go", "run", apidiff, "-m", exports[0], exports[1])
	if err != nil {
		return contract.Report{}, err
	}
	return contract.NewReport("The Go API", "", "", readApidiff(text)), nil
}

// growing lists interfaces that only package gen implements, as its documentation says. They have a
// method for every operation of the API, so a new operation adds one.
var growing = regexp.MustCompile(`^gen\.Client(WithResponses)?Interface\.`)

// readApidiff parses the output of apidiff: a heading for each kind of change, and a line for each
// change.
//
// Two changes are incompatible by apidiff and break no user. The value of connectpsp.Version
// changes with every release: if it counted, no patch and no minor version could follow v1.0.0. A
// new method in a growing interface breaks only other implementations, and there must be none: if
// it counted, every operation that the provider adds would need a major version.
func readApidiff(text string) []contract.Change {
	var changes []contract.Change
	current := contract.Breaking
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "Incompatible changes"):
			current = contract.Breaking
		case strings.HasPrefix(line, "Compatible changes"):
			current = contract.Additive
		case strings.HasPrefix(line, "- "):
			where, what, ok := strings.Cut(line[2:], ": ")
			if !ok {
				where, what = "the module", line[2:]
			}
			found := contract.Change{Level: current, Where: strings.TrimPrefix(where, "./"), Text: what}
			if found.Where == "connectpsp.Version" && strings.HasPrefix(what, "value changed from ") {
				continue
			}
			if what == "added" && growing.MatchString(found.Where) {
				found.Level = contract.Additive
			}
			if !slices.Contains(changes, found) { // ClientWithResponses embeds an interface: its methods come twice
				changes = append(changes, found)
			}
		}
	}
	return changes
}

var versionConstant = regexp.MustCompile(`(?m)^const Version = "(.*)"$`)

func (p project) versionInCode() (version, error) {
	text, err := os.ReadFile(filepath.Join(p.root, "connectpsp", "client.go"))
	if err != nil {
		return version{}, err
	}
	found := versionConstant.FindSubmatch(text)
	if found == nil {
		return version{}, errors.New("connectpsp/client.go has no constant Version")
	}
	return parseVersion("v" + string(found[1]))
}

// notes returns the section of CHANGELOG.md about a version.
func (p project) notes(v version) (string, error) {
	text, err := os.ReadFile(filepath.Join(p.root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	sections := strings.Split("\n"+string(text), "\n## ")
	i := slices.IndexFunc(sections, func(section string) bool {
		heading, _, _ := strings.Cut(section, "\n")
		first, _, _ := strings.Cut(strings.TrimSpace(heading), " ")
		return first == strings.TrimPrefix(v.String(), "v")
	})
	if i < 0 {
		return "", fmt.Errorf("CHANGELOG.md has no section ## %s", strings.TrimPrefix(v.String(), "v"))
	}
	_, body, _ := strings.Cut(sections[i], "\n")
	if body = strings.TrimSpace(body); body == "" {
		return "", fmt.Errorf("CHANGELOG.md says nothing under ## %s", strings.TrimPrefix(v.String(), "v"))
	}
	return body, nil
}
