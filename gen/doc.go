// Package gen is the raw client of the ConnectPSP API, generated from openapi/connectpsp.yaml.
//
// It holds the types of the wire and one method per operation that sends a request and returns the
// *http.Response as it came: no token, no signature, no retry, no error for a refusal. Packages
// [auth], [signing] and [idempotency] have request editors that add the headers. Most programs want
// package [connectpsp] instead.
//
// It checks nothing either: an id of ".." or "" leads to another path. Its HTTP client must not
// follow redirects. Methods take the parameters of the path alone: a request editor sets the
// others.
//
// ClientInterface and ClientWithResponsesInterface grow by a method with every operation that the
// provider adds, in minor versions too, so nobody outside of this package should implement them.
//
// Names follow the description and may move when it does. Package connectpsp keeps stable names for
// the types.
//
// [auth]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/auth
// [connectpsp]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/connectpsp
// [idempotency]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/idempotency
// [signing]: https://pkg.go.dev/github.com/connectpsp/connectpsp-go/signing
package gen

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config ../openapi/oapi-codegen.yaml ../openapi/connectpsp.yaml
