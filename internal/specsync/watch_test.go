package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheNameOfABranchIsValid(t *testing.T) {
	for version, safe := range map[string]string{
		"2.1.0": "2.1.0", "2.1.0-beta;$rm -rf": "2.1.0.beta.rm.rf", "--upload-pack=x": "upload.pack.x", "2..1": "2.1", "@{u}": "u", "é\n": "",
		strings.Repeat("1", 300): strings.Repeat("1", 30),
	} {
		assert.Equal(t, safe, safeForBranch(version))
		_, err := output(t.Context(), "", "git", "check-ref-format", "refs/heads/description-"+safe+"-0123abcd")
		assert.NoError(t, err, version)
	}
}
