package auth_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
)

func TestOnlyRevealReturnsTheTextOfASecret(t *testing.T) {
	for _, text := range []string{canary, " ", "a\nb", "ção", "\x00", strings.Repeat("x", 10000)} {
		secret := auth.NewSecret(text)
		assert.Equal(t, text, secret.Reveal())
		assert.False(t, secret.IsZero())
		copied := secret
		assert.Equal(t, text, copied.Reveal())
	}
}

func TestAnEmptySecretIsUnset(t *testing.T) {
	for name, secret := range map[string]auth.Secret{"zero value": {}, "of an empty text": auth.NewSecret("")} {
		assert.True(t, secret.IsZero(), name)
		assert.Empty(t, secret.Reveal(), name)
		assert.Equal(t, "[redacted]", fmt.Sprint(secret), name)
	}
	written, err := json.Marshal(struct {
		Key auth.Secret `json:"key,omitzero"`
	}{})
	require.NoError(t, err)
	assert.JSONEq(t, `{}`, string(written))
}

// holder is a configuration struct as users write them. T is the type of the secret.
type holder[T any] struct {
	XMLName  struct{} `json:"-" xml:"holder"`
	Exported T
	Pointer  *T
	hidden   T
	hiddenTo *T
	Slice    []T
	Nested   struct{ Deep T }
	hiddenIn []any
}

// failure is an error that carries a secret.
type failure[T any] struct{ Key T }

func (f failure[T]) Error() string { return fmt.Sprintf("refused: %v, %+v", f.Key, struct{ Key T }(f)) }

// heldIn returns secret inside of every kind of Go value.
func heldIn[T any](secret T) map[string]any {
	full := holder[T]{
		Exported: secret, Pointer: &secret, hidden: secret, hiddenTo: &secret,
		Slice: []T{secret}, hiddenIn: []any{secret, &secret},
	}
	full.Nested.Deep = secret
	return map[string]any{
		"value":                      secret,
		"pointer":                    &secret,
		"struct":                     full,
		"pointer to struct":          &full,
		"struct, exported field":     struct{ Key T }{secret},
		"struct, unexported field":   struct{ key T }{secret},
		"struct, embedded interface": struct{ any }{secret},
		"slice":                      []T{secret, secret},
		"slice of any":               []any{secret, &secret},
		"array":                      [1]T{secret},
		"map":                        map[string]T{"key": secret},
		"map, as key":                map[any]int{&secret: 1},
		"error":                      failure[T]{secret},
		"error chain":                errors.Join(errors.New("other"), fmt.Errorf("config: %w", failure[T]{secret})),
		"pointer to error":           &failure[T]{secret},
	}
}

// printed returns value in every way in which programs log values.
func printed(value any) map[string]string {
	output := map[string]string{
		"Sprint":   fmt.Sprint(value),
		"Sprintln": fmt.Sprintln(value),
		"dump":     dump(value),
	}
	for _, format := range []string{"no verb", "wrapped: %w", "%[2]d"} {
		output["Errorf "+format] = fmt.Errorf(format, value).Error()
	}
	output["width"] = fmt.Sprintf("%*d", value, value)
	for _, verb := range "bcdeEfFgGopqstTUvxXwyz!" {
		for _, flags := range []string{"", "+", "#", " ", "# ", "-20", "020", ".99", "+#.3", "[1]"} {
			format := "%" + flags + string(verb)
			output[format] = fmt.Sprintf(format, value)
		}
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var log bytes.Buffer
		logger := slog.New(handler(&log)).With("with", value).WithGroup("group")
		logger.Info(fmt.Sprint(value), "attribute", value, slog.Group("inner", "any", slog.AnyValue(value)))
		output[name] = log.String()
	}
	written, err := json.Marshal(value)
	output["json"] = fmt.Sprintf("%s%v", written, err)
	written, err = xml.Marshal(value)
	output["xml"] = fmt.Sprintf("%s%v", written, err)
	var page strings.Builder
	err = template.Must(template.New("").Parse(`{{.}}{{printf "%v %#v" . .}}`)).Execute(&page, value)
	output["template"] = fmt.Sprint(page.String(), err)
	return output
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	for held, value := range heldIn(auth.NewSecret(canary)) {
		for how, output := range printed(value) {
			assert.False(t, gives(output), "%s by %s: %s", held, how, output)
		}
	}
}

// The same text in types that hide nothing must be found, or the test above proves nothing.
func TestTheSearchFindsASecretThatIsNotHidden(t *testing.T) {
	type open struct{ Text string }
	for held, value := range heldIn(open{canary}) {
		output := printed(value)
		assert.True(t, gives(output["dump"]), "%s by dump", held)
		if held != "map, as key" { // fmt prints a pointer inside of a map as its address
			assert.True(t, gives(output["%+v"]), "%s by %%+v", held)
			assert.True(t, gives(output["slog text"]), "%s by slog text", held)
		}
	}
	output := printed(open{canary})
	for _, how := range []string{"json", "xml", "slog JSON", "template", "Sprint", "width", "Errorf no verb", "Errorf wrapped: %w"} {
		assert.True(t, gives(output[how]), how)
	}
	output = printed([]byte(canary))
	for _, how := range []string{"%v", "%d", "%s", "%q", "%x", "%X", "%# x", "%U", "json"} {
		assert.True(t, gives(output[how]), "%s: %s", how, output[how])
	}
}

func TestASecretPrintsAsRedacted(t *testing.T) {
	secret := auth.NewSecret(canary)
	for _, value := range []any{secret, &secret} {
		for _, verb := range "bcdeEfFgGoqstUvxX" {
			for _, flags := range []string{"", "+", "#", ".3", "20"} {
				assert.Equal(t, "[redacted]", fmt.Sprintf("%"+flags+string(verb), value))
			}
		}
	}
	assert.Equal(t, "[redacted]", secret.String())
	assert.Equal(t, "[redacted]", secret.GoString())
	assert.Equal(t, "{[redacted]}", fmt.Sprintf("%d", struct{ Key auth.Secret }{secret}))

	type document struct {
		Attribute auth.Secret `json:"attribute" xml:"attribute,attr"`
		Element   auth.Secret `json:"element"   xml:"element"`
	}
	written, err := json.Marshal(document{secret, secret})
	require.NoError(t, err)
	assert.JSONEq(t, `{"attribute":"[redacted]","element":"[redacted]"}`, string(written))
	written, err = xml.Marshal(document{secret, secret})
	require.NoError(t, err)
	assert.Equal(t, `<document attribute="[redacted]"><element>[redacted]</element></document>`, string(written))

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "key", secret)
	assert.Contains(t, log.String(), `"key":"[redacted]"`)
}
