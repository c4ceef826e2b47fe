// Package sqlinbox is a webhook.Inbox in a database, on database/sql, for PostgreSQL (13 or newer)
// and SQLite (3.35 or newer). The driver is yours to import.
//
//	inbox, err := sqlinbox.Open(ctx, db, sqlinbox.PostgreSQL)
//	handler, err := webhook.NewHandler(inbox, config.CryptoToken)
//	worker := webhook.NewWorker(inbox, client, apply)
//
// # Exactly once
//
// The function of the Worker finds in its context the transaction in which its step is settled; Tx
// returns it. Its writes are committed together with the end of the event and the new status of the
// PIX transaction, or not at all, also if a process dies in between. So it happens exactly once.
// Other effects, such as a call over the network, may happen again.
//
// Do not commit or roll back, and keep it short: it holds locks. SQLite has one writer at a time:
// give the database a busy timeout of some seconds, or those who meet fail, and are tried again.
//
// A Watch method of the Worker that is called with that context takes part: the transaction is
// watched from the commit on.
//
// Leases and due times go by the database's clock, and not by those of the processes.
//
// # Tables
//
// Open makes and updates the tables connectpsp_inbox and connectpsp_transaction, and
// connectpsp_schema with their version. Migrations returns the statements for those who run them
// otherwise. Times in them are microseconds since 1970 in UTC. What connectpsp_inbox holds in body
// is personal data; Forget erases it from events that are done.
//
// Rows are kept for ever, because a signed body that is sent again years later still verifies: only
// its key tells that it is old. A row without its body is some 300 bytes.
package sqlinbox
