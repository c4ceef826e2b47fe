// Package auth puts the two identities of a ConnectPSP request on it: the access token, which it
// fetches and renews, and the integration's ApplicationToken.
//
// Bearer and ApplicationToken return request editors: functions assignable to gen.RequestEditorFn,
// so they serve the raw client of package gen as well as package connectpsp. Secrets are held in a
// Secret, which no output reveals.
package auth
