// Package sqlstore keeps what several processes share in a database, on database/sql: the inbox of
// webhooks, the journal of payments and the access token. It works on PostgreSQL 13 or newer and on
// SQLite 3.35 or newer. The driver is yours to import.
//
//	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
//	handler, err := webhook.NewHandler(store.Inbox(), config.CryptoToken)
//	worker := webhook.NewWorker(store.Inbox(), client, apply)
//
// # Exactly once
//
// The function of the Worker finds in its context the transaction in which its step is settled;
// [Tx] returns it. Its writes are committed together with the end of the event and the new status
// of the PIX transaction, or not at all, also if a process dies in between. Other effects, such as a
// call over the network, may happen again.
//
// Keep it short: it holds locks. SQLite has one writer at a time: give the database a busy timeout
// of some seconds, or those who meet fail, and are tried again.
//
// A Watch method of the Worker that is called with that context takes part: the transaction is
// watched from the commit on.
//
// # Clocks
//
// Leases and due times go by the database's clock, and not by those of the processes.
//
// # Connections
//
// Nothing is kept in a session: there are no LISTEN, no session locks, no SET and no temporary
// tables, so the database may be behind PgBouncer in transaction mode. Transactions ask for READ
// COMMITTED themselves. No transaction is open while a request is made over the network.
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
//
// # Retention
//
// [Inbox.Forget] erases the bodies of events that are done. What stays of an event is some 200
// bytes, by which one that is sent again is known: a signed body stays valid for ever. The rows of
// events that are done may be deleted after some time, because the state of their transaction tells
// that they are old. Never delete rows of connectpsp_state.
//
//	DELETE FROM connectpsp_event WHERE received_at < $1 AND id NOT IN (SELECT id FROM connectpsp_queue)
package sqlstore
