package redact_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/connectpsp/connectpsp-go/internal/redact"
)

func TestAPanicIsToldByItsPlaceAndNoTextOfTheUsers(t *testing.T) {
	for text, function := range map[string]func(){
		"a string":                          func() { panic("Maria Silva") },
		"a *errors.errorString":             func() { panic(errors.New("Maria Silva")) },
		"runtime error: index out of range": func() { _ = []int{}[len(t.Name())] },
	} {
		err := panicOf(function)
		assert.Contains(t, err.Error(), text)
		assert.Contains(t, err.Error(), "panic_test.go:")
		assert.NotContains(t, err.Error(), "Maria")
		assert.Equal(t, err, redact.Error(err), "it is redacted already")
	}
}

func panicOf(function func()) (err error) {
	defer func() { err = redact.Panic(recover()) }()
	function()
	return nil
}
