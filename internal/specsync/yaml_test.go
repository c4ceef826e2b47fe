package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestAnchorsAndMergesAreWrittenOut(t *testing.T) {
	root, err := readYAML([]byte("a: &a {x: 1, 200: ok}\nb: {<<: *a, x: 2}\nc: {<<: [{y: 3}, *a]}\nd: *a\n\"<<\": 1\n"))
	require.NoError(t, err)
	text, err := yaml.Marshal(root)
	require.NoError(t, err)
	assert.Equal(t, "a: {x: 1, \"200\": ok}\nb: {x: 2, \"200\": ok}\nc: {y: 3, x: 1, \"200\": ok}\nd: {x: 1, \"200\": ok}\n\"<<\": 1\n", string(text))
}
