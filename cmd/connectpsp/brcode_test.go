package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *shell) piped(stdin string, args ...string) output {
	s.t.Helper()
	e := s.environment(args...)
	e.stdin = strings.NewReader(stdin)
	return s.execute(e)
}

func TestACodeIsWrittenAndRead(t *testing.T) {
	s := &shell{t: t}
	encode := []string{"brcode", "encode", "--key-type", "EVP", "--key", "123e4567-e89b-12d3-a456-426614174000", "--name", "Loja Exemplo",
		"--city", "Sao Paulo", "--amount", "10.50", "--txid", "ORDER1", "--description", "two shirts", "--single-use"}
	o := s.run(encode...)
	require.Equal(t, exitDone, o.code, o.stderr)
	assert.Equal(t, decode[encodeResult](t, s.run(append(encode, "--json")...)).BRCode+"\n", o.stdout)
	var text strings.Builder
	for _, args := range [][]string{{"brcode", "decode"}, {"brcode", "decode", "--json"}} {
		s.transcribe(&text, args, s.piped(o.stdout, args...))
	}
	s.transcribe(&text, []string{"brcode", "decode"}, s.piped(strings.Replace(o.stdout, "10.50", "10.51", 1), "brcode", "decode"))
	s.compare("brcode", text.String())

	s.columns = 100
	drawn, code, found := strings.Cut(s.run(encode...).stdout, "\n0002")
	require.True(t, found)
	assert.Equal(t, strings.TrimSpace("0002"+code), readQR(t, screen(t, drawn+"\n")))
}

func TestACodeWithAPersonsKeyIsShownMasked(t *testing.T) {
	s := &shell{t: t}
	for _, key := range [][]string{{"CPF", cpf}, {"EMAIL", "joana@example.com"}, {"PHONE", "+5511987654321"}} {
		e := s.environment("brcode", "encode", "--key-type", key[0], "--key", key[1], "--name", "Loja", "--city", "Recife")
		var code strings.Builder
		e.stdout, e.stderr = &code, &code
		require.Equal(t, exitDone, run(t.Context(), e), code.String())
		o := s.piped(code.String(), "brcode", "decode") // checks that the key is not in the output
		assert.Equal(t, exitDone, o.code)
		assert.Contains(t, o.stdout, "***")
	}
}

func TestAWrongCodeIsRefused(t *testing.T) {
	s := &shell{t: t}
	for _, args := range [][]string{
		{"--name", "Loja", "--city", "Recife"},
		{"--name", "Loja", "--city", "Recife", "--key", cpf},
		{"--name", "Loja", "--city", "Recife", "--key", cpf, "--key-type", "PHONE"},
		{"--name", "Loja", "--city", "Recife", "--url", "pix.example/v2/1", "--amount", "x"},
		{"--name", strings.Repeat("x", 26), "--city", "Recife", "--url", "pix.example/v2/1"},
	} {
		o := s.run(append([]string{"brcode", "encode"}, args...)...)
		assert.Equal(t, exitUsage, o.code, "%q: %s", args, o.stdout)
		assert.Empty(t, o.stdout)
		assert.Equal(t, 1, strings.Count(o.stderr, "\n"))
	}
	assert.Equal(t, exitRejected, s.piped("", "brcode", "decode").code)
	assert.Equal(t, exitUsage, s.piped(strings.Repeat("x", 2<<20), "brcode", "decode").code)
}
