//go:build tools

// Package tools keeps the code generator's version in go.mod. Nothing imports it, so users of the
// SDK do not build it.
package tools

import (
	_ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
)
