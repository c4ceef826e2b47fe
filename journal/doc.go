// Package journal keeps payments in a file until their outcome is certain, so that a process that is killed between sending a
// payment and hearing the answer leaves behind what is needed to settle it.
//
//	payments, err := journal.Open("payments.journal")
//	client, err := connectpsp.New(config, connectpsp.WithJournal(payments))
//	recovered, err := client.Recover(ctx)
//
// # What is promised
//
// When Sent returns nil, the intent and the mark that it is being sent are on disk: written, and made durable by fsync. When
// Finish of a rejection returns nil, it is on disk likewise. An acceptance is written at once and made durable by the next
// fsync: if the machine loses power before that, the payment is asked for again under its key. So a payment costs one fsync,
// which goroutines that wait at the same time share; that is nearly all of what a journal costs.
//
// A write that fails, on a full disk say, leaves the journal as it was, and the payment is not sent. After an fsync that fails
// nobody knows what is on disk: the journal takes nothing more until it is opened anew.
//
// # The file
//
// It is a file of lines that only grows, until it is written anew with what still matters. Each line is one record: a
// checksum (CRC-32C), and JSON. A last line that was not written whole is cut off when the file is opened, for nothing was
// sent for it. Every other fault is a *CorruptError, and the file stays as it is.
//
// The records hold the requests, and so names, documents and keys of people: the file is created readable and writable by its
// owner only. A request is gone from it, at the latest, when it is written anew after the payment ended.
//
// One process has the file at a time; locks on it and on a second file beside it, which stays, see to that. They go with the
// process, however that ends: there is never a reason to delete the second file. The file must be on a local disk: locks and fsync of network file systems promise less.
package journal
