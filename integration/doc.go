// Package integration tests what needs a driver or a server: webhook.Inbox on PostgreSQL, on SQLite
// and in memory. It is a module of its own, so that the SDK itself depends on no driver.
package integration
