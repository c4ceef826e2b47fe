// Package journal keeps payments in a file until their outcome is certain. If the process is killed
// between sending a payment and reading the response, the file has everything that
// [connectpsp.Client.Recover] needs to settle the unknown outcome:
//
//	payments, err := journal.Open("payments.journal")
//	client, err := connectpsp.New(config, connectpsp.WithJournal(payments))
//	recovered, err := client.Recover(ctx)
//
// # Promises
//
// The file is a write-ahead log: a payment is in it before it is sent. When [File.Sent] returns
// nil, the intent and the mark that it is being sent are durable: written and fsynced. When
// [File.Finish] returns nil for a rejection, the rejection is durable too. An acceptance is written
// at once, and the next fsync makes it durable. If the machine loses power before that, the payment
// is open again and is sent again under its idempotency key. So a payment costs one fsync, and
// goroutines that wait at the same time share one. The fsync is nearly the whole cost of a journal.
//
// If a write fails, the journal stays as it was, and the payment is not sent. If an fsync fails,
// the contents of the disk are unknown: the journal accepts no record until you open it again. If
// the file is removed, replaced or truncated while the journal is open, the next call that makes a
// record durable fails and stops the journal, and so does [File.Close].
//
// The journal remembers payments that ended for an hour by the monotonic clock, and for an hour
// after [Open]. A change of the machine's clock makes the journal forget nothing.
//
// # The file
//
// Each line of the file is one record: a checksum (CRC-32C) and JSON. New records are appended. A
// compaction rewrites the file with the live records while payments go on. It runs in the
// background when the file has grown, at once when the volume is full, and in [Open] and
// [File.Close]. The records of a compacted file have lines of JSON, compressed with gzip. An
// accepted payment takes about 120 bytes, and an open one a few hundred. A volume of 3 MiB has room
// for ten thousand payments that ended within the hour.
//
// If the volume is nearly full, the journal accepts no new payments, so that the outcomes of open
// payments can still be recorded.
//
// [Open] cuts off the end of a file that was not durable when the machine lost power: no payment
// was sent on the strength of those records. Any fault before the last record that is known to be
// durable is a [*CorruptError], and the file stays as it is. This relies on disks that write a
// sector as a whole: an append to a page must not harm the part of the page that was durable.
//
// To measure the free space, a compaction writes up to some 4 MiB of zeros for a moment. If the
// volume is nearly full, give the journal a volume of its own.
//
// # Personal data
//
// The records of open payments contain the requests, and so names, documents and PIX keys of
// people. Only the owner of the file can read and write it: Open sets its mode, and a compaction
// keeps its owner. The request of a payment that has ended leaves the file within ten minutes while
// the journal is open, and when it is closed or opened. A compaction that fails is retried every
// five minutes, and until it succeeds the requests stay in the file. [File.Close] returns its
// error, unless the volume is full.
//
// So to erase the data of a person, settle the open payments and wait for ten minutes, or close the
// journal. What stays of a payment for an hour or longer is its key, ids, reference, amount and the
// digest of its request: put no personal data into an externalReference. Backups of the file, and
// the free blocks of the volume, are yours to care for.
//
// # One process
//
// One process owns the file at a time: the journal locks it, and a second file beside it. Both
// locks end with the process, however the process ends, so never delete the second file. The file
// must be on a local disk: locks and fsync of network file systems promise less.
package journal
