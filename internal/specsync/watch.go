package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// watch takes a new description in, if there is one, and proposes it: on a branch of its own, with the report as the text of a
// pull request. It changes no other branch. It wants git with a remote called origin, and GitHub's gh.
func (p project) watch(ctx context.Context, client *http.Client, from string, out io.Writer) error {
	dirty, err := output(ctx, p.root, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if dirty != "" {
		return fmt.Errorf("the checkout has changes of its own, which would get into the proposal:\n%s", dirty)
	}
	changes, err := p.sync(ctx, client, from, out)
	if err != nil {
		return err
	}
	dirty, err = output(ctx, p.root, "git", "status", "--porcelain")
	if err != nil || dirty == "" {
		return err
	}
	lock, err := readLock(p.lock())
	if err != nil {
		return err
	}
	branch := fmt.Sprintf("description-%s-%.8s", safeForBranch(lock.Version), lock.Normalised)
	proposed, err := output(ctx, p.root, "git", "ls-remote", "origin", "refs/heads/"+branch)
	if err != nil {
		return err
	}
	if proposed != "" {
		fmt.Fprintf(out, "It is proposed already, on the branch %s.\n", branch)
		return nil
	}
	body := filepath.Join(os.TempDir(), branch+".md")
	defer os.Remove(body)
	if err := os.WriteFile(body, []byte(proposal(changes, lock)), 0o600); err != nil {
		return err
	}
	title := "Take in the description " + oneLine(lock.Version)
	for _, command := range [][]string{
		{"git", "switch", "--quiet", "--create", branch},
		{"git", "add", "openapi", "gen"},
		{"git", "commit", "--quiet", "-m", title},
		{"git", "push", "--quiet", "origin", branch},
		{"gh", "pr", "create", "--head", branch, "--title", title, "--body-file", body},
	} {
		if _, err := output(ctx, p.root, command[0], command[1:]...); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "It is proposed on the branch %s.\n", branch)
	return nil
}

func proposal(changes report, lock source) string {
	text := changes.markdown()
	if len(lock.NotOffered) > 0 {
		text += "\nThe SDK has no method for:\n\n"
		for _, operation := range lock.NotOffered {
			text += "- " + code(operation) + "\n"
		}
	}
	return text + "\nThe SDK builds with it. CONTRIBUTING.md says how to go on.\n"
}

// safeForBranch keeps of a version what a branch may be called.
func safeForBranch(version string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' {
			return r
		}
		return '-'
	}, version)
}
