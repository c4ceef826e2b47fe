package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADescriptionOfAnotherAPIIsRefusedAndNothingIsTouched(t *testing.T) {
	whole := string(current(t))
	for name, test := range map[string]struct{ text, says string }{
		"nothing":                   {"", "it is empty"},
		"only blanks":               {" \n\n", "it is empty"},
		"a page":                    {"<!DOCTYPE html><html><body>Not found</body></html>", "a page of HTML"},
		"a page after a mark":       {"\xef\xbb\xbf\n<html>", "a page of HTML"},
		"broken YAML":               {whole[:strings.Index(whole, "operationId: getCashIn")+8] + "\n\t: [", "neither YAML nor JSON"},
		"broken JSON":               {string(reshape(t, nil))[:20000], "was cut off"},
		"cut off in the paths":      {whole[:strings.Index(whole, "  /account/balance:")], "it was cut off"},
		"cut off in the schemas":    {whole[:strings.Index(whole, "    Failure:")], "it was cut off"},
		"without info":              {string(reshape(t, func(root object) { delete(root, "info") })), "it is not valid"},
		"a list":                    {"[1, 2]", "it is not an object"},
		"a word":                    {"hello", "it is not an object"},
		"no version of OpenAPI":     {"title: x", "no description in OpenAPI 3.0, 3.1 or 3.2"},
		"Swagger":                   {`{"swagger": "2.0", "paths": {}}`, "Swagger 2.0"},
		"another API":               {"openapi: 3.0.3\ninfo: {title: Pets, version: 1.0.0}\npaths: {/pets: {get: {responses: {'200': {description: ok}}}}}", "another API: \"Pets\""},
		"without an operation":      {string(reshape(t, func(root object) { delete(at(t, root, "paths"), "/cash-out") })), "it lacks POST /cash-out"},
		"an operation that is null": {string(reshape(t, func(root object) { at(t, root, "paths", "/cash-out")["post"] = nil })), "it lacks POST /cash-out"},
		"parameters that are none":  {string(reshape(t, func(root object) { at(t, root, "paths", "/cash-out")["parameters"] = object{"a": 1} })), "not valid"},
		"a reference to a file":     {strings.Replace(whole, "'#/components/schemas/Payee'", "./schemas.yaml#/Payee", 1), "another file or host"},
		"a reference to a host":     {strings.Replace(whole, "'#/components/schemas/Payee'", "https://example.com/Payee.yaml", 1), "another file or host"},
		"a reference to nothing":    {strings.Replace(whole, "'#/components/schemas/Payee'", "'#/components/schemas/Nobody'", 1), "which it does not hold"},
		"a reference to itself":     {strings.Replace(whole, "    Failure:\n", "    Failure:\n      $ref: '#/components/schemas/Failure'\n", 1), "holds itself"},
		"a schema of no kind":       {strings.Replace(whole, "type: number", "type: numeral", 1), "it is not valid"},
		"a schema within itself":    {strings.Replace(whole, "    Failure:\n      type: object\n", "    Failure:\n      type: object\n      additionalProperties:\n        $ref: '#/components/schemas/Failure'\n", 1), "holds itself"},
		"an alias without anchor":   {whole + "\nx-a: *nowhere\n", "neither YAML nor JSON"},
		"an alias of itself":        {whole + "\nx-a: &a [*a]\n", "nested deeper"},
		"a name twice":              {whole + "\nx-a: {b: 1, b: 2}\n", `"b" twice`},
		"a name twice in JSON":      {strings.Replace(string(reshape(t, nil)), "{", `{"info": {},`, 1), `"info" twice`},
		"a name that is a list":     {whole + "\nx-a: {[b]: 1}\n", "no text"},
		"two documents":             {whole + "---\n" + whole, "more than one document"},
		"UTF-16":                    {"\xff\xfe" + strings.Join(strings.Split(whole, ""), "\x00"), "UTF-8"},
		"Latin-1 in JSON":           {strings.Replace(string(reshape(t, nil)), "ConnectPSP", "Connect\xe7PSP", 1), "UTF-8"},
		"lists without end":         {`{"openapi": ` + strings.Repeat("[", 7<<20), "neither YAML nor JSON"},
		"lists in lists":            {`{"openapi": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "nested deeper"},
		"lists without end, YAML":   {"openapi: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper"},
		"a schema within itself, in a list": {strings.Replace(whole, "    Failure:\n      type: object\n",
			"    Failure:\n      type: object\n      additionalProperties: {type: array, items: {$ref: '#/components/schemas/Failure'}}\n", 1), "holds itself"},
		"100,000 paths": {string(reshape(t, func(root object) {
			paths := at(t, root, "paths")
			for i := range 100_000 {
				paths[fmt.Sprintf("/%d", i)] = object{}
			}
		})), "it has 100008 paths"},
		"references that multiply": {string(reshape(t, func(root object) {
			schemas := at(t, root, "components", "schemas")
			for i := range 15 {
				next := object{"$ref": fmt.Sprintf("#/components/schemas/Bomb%d", i+1)}
				schemas[fmt.Sprintf("Bomb%d", i)] = object{"type": "object", "properties": object{"a": next, "b": next, "c": next}}
			}
			schemas["Bomb15"] = object{"type": "string"}
		})), "stands for more"},
	} {
		t.Run(name, func(t *testing.T) {
			p := small(t)
			before := p.state(t)
			_, err := p.taken(t, []byte(test.text))
			require.Error(t, err)
			assert.ErrorContains(t, err, test.says)
			assert.ErrorContains(t, err, "nothing was changed")
			assert.Equal(t, before, p.state(t))
		})
	}
}

// Nobody sees such a test before the next pull request, and then it stands in another's way.
func TestADescriptionWithWhichATestDoesNotCompileIsRefusedAndNothingIsTouched(t *testing.T) {
	needsWhole(t)
	p := checkout(t)
	reads := "package gen_test\n\nimport \"github.com/connectpsp/connectpsp-go/gen\"\n\nvar _ = gen.CashOut{}.CancelledAt\n"
	require.NoError(t, os.WriteFile(filepath.Join(p.root, "gen", "cancelled_test.go"), []byte(reads), 0o644))
	before := p.state(t)
	_, err := p.taken(t, version210(t))
	require.ErrorContains(t, err, "does not compile")
	assert.ErrorContains(t, err, "cancelled_test.go")
	assert.ErrorContains(t, err, "nothing was changed")
	assert.Equal(t, before, p.state(t))
}

// The bomb of YAML: a few lines that stand for billions of values.
func TestAliasesThatMultiplyAreRefused(t *testing.T) {
	text := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for name := 'b'; name < 'l'; name++ {
		text += string(name) + ": &" + string(name) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(name-1)+", ", 9), ", ") + "]\n"
	}
	_, err := small(t).taken(t, append(current(t), "\nx-bomb:\n  "+strings.ReplaceAll(text, "\n", "\n  ")...))
	assert.ErrorContains(t, err, "stands for more")
}

func TestADownloadThatGoesWrongIsRefusedAndNothingIsTouched(t *testing.T) {
	whole := current(t)
	for name, test := range map[string]struct {
		response http.HandlerFunc
		says     string
	}{
		"not found": {http.NotFound, "404"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999")
			_, _ = w.Write(whole)
		}, "could not be read to its end"},
		"broken off in chunks": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(whole)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "could not be read to its end"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for range maxDescription>>20 + 2 {
				_, _ = w.Write(bytes.Repeat([]byte("# \n"), 1<<20/3+1))
			}
		}, "larger than 8 MiB"},
		"unchanged, without being asked": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, "304"},
		"a status in its own words": {func(w http.ResponseWriter, _ *http.Request) {
			connection, _, _ := http.NewResponseController(w).Hijack()
			_, _ = connection.Write([]byte("HTTP/1.1 503 \x1b[2JAll is well\r\nContent-Length: 0\r\n\r\n"))
			_ = connection.Close()
		}, "answered 503 Service Unavailable"},
		"sent to plain HTTP":    {http.RedirectHandler("http://example.com/a.yaml", http.StatusFound).ServeHTTP, "must be an https address"},
		"sent round in circles": {http.RedirectHandler("/", http.StatusFound).ServeHTTP, "redirected too often"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(test.response)
			defer server.Close()
			p := small(t)
			before := p.state(t)
			status, err := run(t.Context(), p, server.Client(), []string{"sync", "-from", server.URL}, io.Discard)
			assert.Equal(t, 1, status)
			assert.ErrorContains(t, err, test.says)
			assert.Equal(t, before, p.state(t))
		})
	}
}

func TestADownloadThatNeverEndsIsAborted(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("openapi"))
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p := small(t)
	before := p.state(t)
	_, err := run(ctx, p, server.Client(), []string{"sync", "-from", server.URL}, io.Discard)
	assert.ErrorContains(t, err, "could not be read to its end")
	assert.Equal(t, before, p.state(t))
}

func TestOnlyHTTPSIsUsed(t *testing.T) {
	for _, from := range []string{"http://localhost/a.yaml", "ftp://example.com/a.yaml", "https:///a.yaml", "https://user:password@example.com/a.yaml"} {
		_, err := run(t.Context(), small(t), http.DefaultClient, []string{"sync", "-from", from}, io.Discard)
		assert.ErrorContains(t, err, "must be an https address", from)
	}
}

// TLS with a certificate that nobody vouches for is no TLS.
func TestAServerThatCannotBeTrustedIsRefused(t *testing.T) {
	_, url := serve(t, current(t))
	_, err := run(t.Context(), small(t), http.DefaultClient, []string{"sync", "-from", url}, io.Discard)
	assert.ErrorContains(t, err, "certificate")
}

func TestInvalidArgumentsAreExplained(t *testing.T) {
	for _, arguments := range [][]string{nil, {"stroll"}, {"sync", "here"}, {"report", "one"}, {"release"}, {"sync", "-colour"}} {
		status, err := run(t.Context(), small(t), http.DefaultClient, arguments, io.Discard)
		assert.Equal(t, 2, status)
		assert.ErrorIs(t, err, errUsage)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := run(t.Context(), small(t), http.DefaultClient, []string{"sync", "-from", "nowhere.yaml"}, io.Discard)
	assert.ErrorContains(t, err, "nowhere.yaml")
}

// A server may pack gigabytes of blanks into a few kilobytes.
func TestAGzipBombIsRefusedAtTheLimit(t *testing.T) {
	var bomb bytes.Buffer
	writer := gzip.NewWriter(&bomb)
	for range 64 {
		_, err := writer.Write(bytes.Repeat([]byte(" "), 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}))
	defer server.Close()
	_, err := run(t.Context(), small(t), server.Client(), []string{"sync", "-from", server.URL}, io.Discard)
	assert.ErrorContains(t, err, "larger than 8 MiB")
}

// A query may hold a token. The lock is for everybody to read.
func TestTheOriginIsReportedWithoutQueryAndWithoutLocalPath(t *testing.T) {
	for from, told := range map[string]string{
		"https://docs.example/api.yaml?token=canary#canary": "https://docs.example/api.yaml",
		"/home/canary/api.yaml":                             "api.yaml",
		"../canary/api.yaml":                                "api.yaml",
		"openapi/connectpsp.yaml":                           "openapi/connectpsp.yaml",
	} {
		assert.Equal(t, told, origin(from))
	}
	_, err := run(t.Context(), small(t), http.DefaultClient, []string{"sync", "-from", "https://127.0.0.1:1/?token=canary"}, io.Discard)
	assert.Error(t, err)
	assert.NotContains(t, err.Error(), "canary")
}

// Refused descriptions and copies of the project would fill a disk in time.
func TestNothingIsLeftInTheTemporaryFolder(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	p := small(t)
	_, err := p.taken(t, []byte(strings.Replace(string(current(t)), "title: ConnectPSP API", "title: Another", 1)))
	require.ErrorContains(t, err, "generator")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range left {
		assert.NotContains(t, entry.Name(), "specsync")
	}
}

func TestAnUnreadableLockStopsTheSync(t *testing.T) {
	p := small(t)
	require.NoError(t, replace([]file{{p.lock(), []byte("{")}}))
	_, err := p.taken(t, current(t))
	assert.ErrorContains(t, err, "spec.lock")
}
