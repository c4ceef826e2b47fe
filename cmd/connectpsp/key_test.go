package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheKeysThatATextMayMeanAreListedMasked(t *testing.T) {
	s := &shell{t: t}
	s.golden("key",
		[]string{"key", "detect", "+5511987654321"},
		[]string{"key", "detect", "joana@example.com"},
		[]string{"key", "detect", "123e4567-e89b-12d3-a456-426614174000", "--json"},
		[]string{"key", "detect", "11912345684"},
		[]string{"key", "detect", "a name"},
	)
	o := s.piped(cpf+"\n", "key", "detect", "-")
	assert.Equal(t, exitDone, o.code)
	assert.Contains(t, o.stdout, "CPF")
	assert.Equal(t, exitUsage, s.run("key", "detect").code)
}
