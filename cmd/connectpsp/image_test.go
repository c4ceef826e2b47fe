//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The root file system of the image is made and used as Docker would, without Docker.
func TestTheImageServesTheSandboxWithoutRootAndWithoutASystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can change the root directory")
	}
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	instruction := func(name string) string {
		found := regexp.MustCompile(`(?m)^`+name+` (.*)$`).FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, found, name)
		return found[len(found)-1][1]
	}
	list := func(text string) []string {
		return strings.Split(strings.NewReplacer(`[`, "", `]`, "", `"`, "", ", ", " ").Replace(text), " ")
	}
	assert.Equal(t, "scratch", instruction("FROM"))
	assert.Equal(t, "65532:65532", instruction("USER"))
	assert.Equal(t, "8420", instruction("EXPOSE"))

	root := t.TempDir()
	output, err := exec.CommandContext(t.Context(), "./rootfs", root).CombinedOutput()
	require.NoError(t, err, string(output))
	var files []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	}))
	assert.Equal(t, []string{"/connectpsp", "/etc/ssl/certs/ca-certificates.crt"}, files)
	info, err := os.Stat(filepath.Join(root, "connectpsp"))
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(20<<20))
	program, err := elf.Open(filepath.Join(root, "connectpsp"))
	require.NoError(t, err)
	defer program.Close()
	libraries, err := program.ImportedLibraries()
	require.NoError(t, err)
	assert.Empty(t, libraries, "it is linked statically")
	require.NoError(t, os.Chmod(root, 0o755)) // whatever the umask is

	port := freePort(t)
	inside := func(arguments []string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), arguments[0], append(arguments[1:], "--port", port)...)
		command.Env, command.Dir = []string{}, "/"
		command.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return command
	}
	served := inside(append(list(instruction("ENTRYPOINT")), list(instruction("CMD"))...))
	var printed bytes.Buffer
	served.Stdout, served.Stderr = &printed, &printed
	require.NoError(t, served.Start())
	_, check, _ := strings.Cut(instruction("HEALTHCHECK"), "CMD ")
	require.Eventually(t, func() bool { return inside(list(check)).Run() == nil }, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, served.Process.Signal(os.Interrupt))
	require.NoError(t, served.Wait(), printed.String())
	assert.Contains(t, printed.String(), "CONNECTPSP_CLIENT_ID=")
	assert.Error(t, inside(list(check)).Run(), "nothing is served any more")
}
