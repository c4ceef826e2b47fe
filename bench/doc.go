// Package bench measures the SDK beside the same work written by hand on net/http and
// encoding/json, and how its cost grows. It is a module of its own: the SDK does not depend on the
// libraries that it is compared with, nor on those that draw.
//
// docs/performance.md explains the figures and how to measure them.
package bench
