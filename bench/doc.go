// Package bench measures the SDK beside the same work written by hand on net/http and encoding/json, and shows how its cost
// grows. It is a module of its own, so that the SDK itself depends on nothing that is only measured against.
//
// What is measured, and how to run it, is in docs/performance.md.
package bench
