// Package auth adds the two credentials of a ConnectPSP request: the access token, which it
// requests and renews, and the ApplicationToken of the integration.
//
// [Bearer] and [ApplicationToken] return request editors: functions that are assignable to
// [gen.RequestEditorFn], so they serve the raw client of package gen. Package [connectpsp] uses
// them by itself. A [Secret] keeps a credential out of every output: printing redacts it.
//
// [connectpsp]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/connectpsp
package auth
