package sandbox

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// rateLimit is a token bucket on the sandbox's clock. The zero value admits every request.
type rateLimit struct {
	PerSecond int       `json:"perSecond,omitzero"`
	Burst     int       `json:"burst,omitzero"`
	Tokens    float64   `json:"tokens,omitzero"`
	At        time.Time `json:"at,omitzero"` // when Tokens was counted
}

// SetRateLimit limits the requests that the gateway serves, of all operations together, by a token
// bucket: it holds burst tokens, each request takes one, and perSecond tokens come back each second
// on the sandbox's clock. Without a token the gateway responds 429 with the code TOO_MANY_REQUESTS
// and a Retry-After, and executes nothing. The bucket is full at first. Zero and zero end the
// limit. The error wraps [ErrInvalid] unless both are positive or both are zero.
func (s *Sandbox) SetRateLimit(perSecond, burst int) error {
	if !isLimit(perSecond, burst) {
		return fmt.Errorf("%w: a rate limit needs at least one request per second and a burst of at least one", ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = rateLimit{PerSecond: perSecond, Burst: burst, Tokens: float64(burst), At: s.Now()}
	return nil
}

// isLimit reports whether both are zero or both are positive.
func isLimit(perSecond, burst int) bool {
	return perSecond == 0 && burst == 0 || perSecond > 0 && burst > 0
}

// take takes a token at a time, or returns the time until there is one.
func (l *rateLimit) take(now time.Time) (wait time.Duration) {
	if l.PerSecond == 0 {
		return 0
	}
	gained := now.Sub(l.At).Seconds() * float64(l.PerSecond)
	l.Tokens, l.At = min(l.Tokens+gained, float64(l.Burst)), now
	if l.Tokens >= 1 {
		l.Tokens--
		return 0
	}
	return time.Duration(math.Ceil((1 - l.Tokens) / float64(l.PerSecond) * float64(time.Second)))
}

func tooManyRequests(wait time.Duration) response {
	r := refusalOf(refuse(http.StatusTooManyRequests, "TOO_MANY_REQUESTS", "There were too many requests."))
	r.RetryAfter = strconv.Itoa(int(math.Ceil(wait.Seconds())))
	return r
}
