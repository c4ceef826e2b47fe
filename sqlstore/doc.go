// Package sqlstore stores in a database, through database/sql, the data that several processes
// share: the inbox of webhooks, the journal of payments and the access token. It works on
// PostgreSQL 13 or newer and on SQLite 3.35 or newer. Import the driver yourself.
//
//	store, err := sqlstore.Open(ctx, db, sqlstore.PostgreSQL)
//	client, err := connectpsp.New(config, connectpsp.WithJournal(store.Journal()))
//	handler, err := webhook.NewHandler(store.Inbox(), config.CryptoToken)
//	worker := webhook.NewWorker(store.Inbox(), client, apply)
//
// # The inbox: exactly once
//
// The context of the Worker's function carries the database transaction that completes its step;
// [Tx] returns it. The writes of the function in it are committed together with the end of the
// event and the new status of the PIX transaction, or not at all, also if the process dies in
// between. Other effects, such as a call over the network, may happen again.
//
// Keep the function short: it holds locks. A Watch method of the Worker that the function calls
// with its context is part of the step: the watch begins with the commit.
//
// A Worker finds events as quickly after a million others, and while a backup holds a transaction
// open.
//
// # The journal: one process for each payment
//
// See [Journal]. Call [connectpsp.Client.Recover] about every minute, in one process or in all: it
// settles the payments of processes that died, two minutes after their last attempt. Any process
// may process the webhooks.
//
// # Clocks
//
// Leases, due times and the ages of payments follow the database's clock. The clocks of the
// processes may be wrong.
//
// # Connections
//
// A session has no state: there are no LISTEN, no session locks, no SET and no temporary tables, so
// the database may be behind PgBouncer in transaction mode. There pgx needs
// default_query_exec_mode=exec, cache_describe or simple_protocol in its connection string, and
// lib/pq binary_parameters=yes: [Open] refuses a driver whose prepared statements would be lost.
// PgBouncer 1.18, which Debian 12 has, may exit when a query is cancelled (pgbouncer#801): let it
// be restarted. The package then repeats the work that was not committed. Transactions request READ
// COMMITTED themselves. The package makes no request over the network while a transaction is open.
//
// A Worker with n goroutines needs n connections, and one more to claim events. A payment needs one
// for a short time before and after each attempt.
//
// # Tables
//
// [Open] creates and updates the tables. [Migrations] returns the statements, to run them in
// another way. Times in the tables are microseconds since 1970 in UTC. [WithNamespace] changes the
// names of the tables.
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
// [Inbox.Forget] erases the bodies of events that are done, by their age, and [Store.ForgetPerson]
// erases those of one person. A payment loses its body when it ends. Keys, digests, statuses,
// amounts, references, transaction ids and end-to-end ids stay: they prove a payment, and
// deduplicate.
//
// About 200 bytes of each event stay, because a signed body stays valid for ever and may be sent
// again. You may delete the rows of events that are done after some time, because the state of
// their transaction shows that they are old. Never delete rows of connectpsp_state.
//
//	DELETE FROM connectpsp_event
//		WHERE received_at < $1 AND id NOT IN (SELECT id FROM connectpsp_queue)
//
// A payment that has ended takes about 300 bytes. Keep it for as long as you must prove what you
// paid, such as five years, and for a day at least. Never delete open payments.
//
//	DELETE FROM connectpsp_payment WHERE outcome <> '' AND ended_at < $1
//
// Nothing that stays is personal data, if you keep two rules. Never put a CPF, a name, an e-mail
// address or a phone number into an externalReference or an idempotency key: they are in every
// table, in logs and at the gateway. And keep them out of the errors of your Worker's function: the
// queue has the last one until the event is done. A digest alone tells nothing, but somebody who
// knows the rest of a body could try out documents until its digest is found.
//
// No query and no pg_dump has an erased body. Other places keep it for longer, and are yours to
// care for: backups, the write-ahead log and its archive, replicas that lag, and your own tables.
// In the files of PostgreSQL the old version of a row stays until a vacuum, and its bytes until
// they are overwritten; VACUUM FULL writes the table anew. In the file of SQLite the bytes stay
// until they are overwritten: open it with _pragma=secure_delete(1), which overwrites them at once,
// and run PRAGMA wal_checkpoint(TRUNCATE) after ForgetPerson, or run VACUUM.
package sqlstore
