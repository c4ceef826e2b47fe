package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// watch takes a new description in, if there is one, and opens a pull request for it: on a branch
// of its own, with the report as the text. It changes no other branch. It needs git with a remote
// called origin, and GitHub's gh.
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
	directory, err := os.MkdirTemp("", "specsync")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	body := filepath.Join(directory, "proposal.md")
	if err := os.WriteFile(body, []byte(changes), 0o600); err != nil {
		return err
	}
	title := "Take in the description " + safeForBranch(lock.Version)
	if err := p.propose(ctx, branch, title, body); err != nil {
		return err
	}
	fmt.Fprintf(out, "It is proposed on the branch %s.\n", branch)
	return nil
}

// propose opens a pull request with the changes of the checkout. If GitHub refuses it, propose
// deletes the branch from the remote, because the next run would take the branch for a proposal.
func (p project) propose(ctx context.Context, branch, title, body string) error {
	for _, command := range [][]string{
		{"git", "switch", "--quiet", "--create", branch},
		{"git", "add", "openapi", "gen"},
		{"git", "commit", "--quiet", "-m", title},
		{"git", "push", "--quiet", "origin", branch},
	} {
		if _, err := output(ctx, p.root, command[0], command[1:]...); err != nil {
			return err
		}
	}
	_, err := output(ctx, p.root, "gh", "pr", "create", "--head", branch, "--title", title, "--body-file", body)
	if err != nil {
		_, failure := output(ctx, p.root, "git", "push", "--quiet", "origin", "--delete", branch)
		return errors.Join(err, failure)
	}
	return nil
}

// safeForBranch returns a version without the characters that the name of a branch may not have.
func safeForBranch(version string) string {
	parts := strings.FieldsFunc(version, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	const enough = 30
	safe := strings.Join(parts, ".")
	return safe[:min(len(safe), enough)]
}
