// Package sqlstore keeps what several processes share in a database, on database/sql: the inbox of
// webhooks, the journal of payments and the access token. It works on PostgreSQL 13 or newer and on
// SQLite 3.35 or newer. The driver is yours to import.
//
//	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
//	client, err := connectpsp.New(config, connectpsp.WithJournal(store.Journal()))
//	handler, err := webhook.NewHandler(store.Inbox(), config.CryptoToken)
//	worker := webhook.NewWorker(store.Inbox(), client, apply)
//
// # The inbox: exactly once
//
// The function of the Worker finds in its context the transaction in which its step is settled;
// [Tx] returns it. Its writes are committed together with the end of the event and the new status
// of the PIX transaction, or not at all, also if a process dies in between. Other effects, such as
// a call over the network, may happen again.
//
// Keep the function short: it holds locks. A Watch method of the Worker that is called with its
// context takes part: the transaction is watched from the commit on.
//
// Events are found as quickly after a million others, and while a backup holds a transaction open.
//
// # The journal: one process for each payment
//
// See [Journal]. Call [connectpsp.Client.Recover] every minute or so, in one process or in all: it
// settles the payments of processes that have died, two minutes after their last attempt. Any
// process may take the webhooks.
//
// # Clocks
//
// Leases, due times and the ages of payments go by the database's clock. Those of the processes may
// be wrong.
//
// # Connections
//
// Nothing is kept in a session: there are no LISTEN, no session locks, no SET and no temporary
// tables, so the database may be behind PgBouncer in transaction mode. Transactions ask for READ
// COMMITTED themselves. None is open while a request is made over the network, unless your function
// makes one.
//
// A Worker with n goroutines needs n connections, and one more to claim events. A payment needs one
// for a moment before and after each attempt.
//
// # Tables
//
// [Open] makes and updates the tables. [Migrations] returns the statements for those who run them
// otherwise. Times in the tables are microseconds since 1970 in UTC. With [WithNamespace] their
// names begin in another way.
//
//	connectpsp_version  the version of the tables
//	connectpsp_event    every event that was received; its body is personal data
//	connectpsp_queue    the events that are not done, or are held
//	connectpsp_state    the recorded state of every PIX transaction
//	connectpsp_payment  every payment of the journal; its body is personal data, until it has ended
//	connectpsp_token    the access token of each integration, encrypted
//
// # Retention
//
// [Inbox.Forget] erases the bodies of events that are done. What stays of an event is some 200
// bytes, by which one that is sent again is known: a signed body stays valid for ever. The rows of
// events that are done may be deleted after some time, because the state of their transaction tells
// that they are old. Never delete rows of connectpsp_state.
//
//	DELETE FROM connectpsp_event WHERE received_at < $1 AND id NOT IN (SELECT id FROM connectpsp_queue)
//
// A payment takes some 300 bytes when it has ended. Keep it for as long as you have to prove what
// you paid, and a day at least. Open payments stay.
//
//	DELETE FROM connectpsp_payment WHERE outcome <> '' AND ended_at < $1
package sqlstore
