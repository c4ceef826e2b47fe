package connectpsp

import "time"

// SetJitter makes a client draw its waits with jitter, so that a simulation can be repeated. Call it before anything else.
func SetJitter(c *Client, jitter func(bound time.Duration) time.Duration) { c.jitter = jitter }
