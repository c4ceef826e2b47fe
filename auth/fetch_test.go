package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/gen"
)

func TestFetchAsksForATokenEachTimeAndLeavesTheHeldOne(t *testing.T) {
	asked := 0
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = fmt.Fprintf(w, `{"accessToken":"token%d","expiresIn":600}`, asked)
	}))
	defer gateway.Close()
	client, err := gen.NewClient(gateway.URL)
	require.NoError(t, err)
	source := auth.NewClientCredentials(client, "1024", auth.NewSecret("secret"))
	held, err := source.Token(t.Context())
	require.NoError(t, err)
	for n := range 2 {
		token, life, err := source.Fetch(t.Context())
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("token%d", n+2), token.Reveal())
		assert.InDelta(t, 600, life.Seconds(), 5)
	}
	again, err := source.Token(t.Context())
	require.NoError(t, err)
	assert.Equal(t, held.Reveal(), again.Reveal())
	assert.Equal(t, "1024 "+gateway.URL+"/", source.Identity())

	gateway.Close()
	_, life, err := source.Fetch(t.Context())
	var failure *auth.Error
	assert.ErrorAs(t, err, &failure)
	assert.Equal(t, time.Duration(0), life)
}
