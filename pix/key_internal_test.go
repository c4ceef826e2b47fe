package pix

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The patterns of the central bank's key directory (DICT).
var (
	emailPattern = regexp.MustCompile(`^[a-z0-9.!#$&'*+/=?^_` + "`" + `{|}~-]+@` +
		`[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$`)
	phonePattern = regexp.MustCompile(`^\+[1-9][0-9]\d{1,14}$`)
	evpPattern   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

func requirePatterns(t *testing.T, text string) {
	require.Equal(t, emailPattern.MatchString(text), emailReason(text) == "", "%q", text)
	require.Equal(t, phonePattern.MatchString(text), phoneReason(text) == "", "%q", text)
	require.Equal(t, evpPattern.MatchString(text), isEVP(text), "%q", text)
}

func TestKeysAreHeldAgainstThePatternsOfTheDirectory(t *testing.T) {
	for c := range 256 {
		one := string([]byte{byte(c)})
		requirePatterns(t, one+"@a.b")
		for _, domain := range []string{one, one + "a", "a" + one, "a" + one + "a", "a." + one, one + ".a", "a.b" + one} {
			requirePatterns(t, "a@"+domain)
		}
		requirePatterns(t, "+55"+one+"1")
		requirePatterns(t, one+"5511987654321")
		requirePatterns(t, "123e4567-e89b-12d3-a456-42661417400"+one)
		requirePatterns(t, "123e4567"+one+"e89b-12d3-a456-426614174000")
	}
	for n := range 70 {
		requirePatterns(t, "a@"+strings.Repeat("a", n))
		requirePatterns(t, "a@"+strings.Repeat("a", n)+".b")
		requirePatterns(t, "+"+strings.Repeat("1", n))
		requirePatterns(t, strings.Repeat("1", n))
	}
}

func FuzzKeyPatterns(f *testing.F) {
	for _, text := range []string{
		"", "@", "a@", "@a", "a@b@c", "a@b.", "a@.b", "a@-b", "a@b-", "a@b--c.d", "a%b@c", "+5511987654321", "+0551198", "5511", "+55\n",
		"123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-42661417400g", "123e4567e-89b-12d3-a456-426614174000", "á@b",
	} {
		f.Add(text)
	}
	f.Fuzz(requirePatterns)
}
