package pix_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/pix"
)

func TestMaskNameKeepsOnlyTheFirstLetters(t *testing.T) {
	for name, want := range map[string]string{
		"":                  "",
		"  ":                "",
		"Maria":             "M***",
		" Maria  da Silva ": "M*** d*** S***",
		"Érica Ímpar":       "É*** Í***",
		"\xff":              "\xff***",
	} {
		assert.Equal(t, want, pix.MaskName(name))
	}
}

func ExampleMaskName() {
	fmt.Println(pix.MaskName("Maria Silva"))
	// Output: M*** S***
}
