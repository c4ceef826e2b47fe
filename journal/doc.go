// Package journal keeps payments in a file until their outcome is certain, so that
// a process that is killed between sending a payment and reading the response
// leaves behind everything needed to settle it:
//
//	payments, err := journal.Open("payments.journal")
//	client, err := connectpsp.New(config, connectpsp.WithJournal(payments))
//	recovered, err := client.Recover(ctx)
//
// # Promises
//
// When [File.Sent] returns nil, the intent and the mark that it is being sent are
// durable: written, and made so by fsync. When [File.Finish] returns nil for a
// rejection, that is durable too. An acceptance is written at once and made durable
// by the next fsync: if the machine loses power before that, the payment is open
// again, and is sent again under its key. So a payment costs one fsync, shared by
// the goroutines that wait at the same time. That is nearly all that a journal
// costs.
//
// A write that fails leaves the journal as it was, and the payment is not sent.
// After an fsync that fails the contents of the disk are not known: the journal
// takes nothing more until it is opened anew. When the file was removed, replaced or
// truncated under the program, the next call that makes something durable stops it,
// with an error that says so, and so does Close.
//
// Payments that ended are remembered for an hour, by the monotonic clock, and for an
// hour after Open: setting the clock of the machine makes the journal forget nothing.
//
// # The file
//
// It is a file of lines. Each is one record: a checksum (CRC-32C), and JSON. New
// records are appended; a compaction rewrites the file with the live records,
// while payments go on. It runs in the background once the file has grown, at once
// when the volume is full, and in Open and Close. In a compacted file the records
// hold lines of JSON, compressed with gzip. An accepted payment takes some 120 bytes,
// and an open one a few hundred. On a volume of 3 MiB there is room for ten thousand
// payments that ended within the hour.
//
// A volume that is nearly full takes no new payments, so that there is room to record
// the outcomes of those that are open.
//
// The end of a file that was not durable when the machine lost power is cut off by
// Open: nothing was sent for it. Every fault before the last record that is known to
// be durable is a [*CorruptError], and the file stays as it is. A write that appends
// to a page must not harm the part of it that was made durable, which holds for disks
// that write sectors as a whole.
//
// A compaction sees how much room is left by filling it for a moment, up to some
// 4 MiB. On a volume that is nearly full, give the journal one of its own.
//
// # Personal data
//
// The records of open payments hold the requests, and so names, documents and keys of
// people. The file is readable and writable by its owner only, also if it was made
// otherwise; a compaction keeps its owner. The request of a payment that has ended
// leaves the file within ten minutes while it is open, and when it is closed or
// opened. A compaction that fails is tried again every five minutes, and until it
// succeeds the requests stay. Close returns its error, unless the volume is full.
//
// # One process
//
// One process has the file at a time, which locks on it and on a second file beside it
// ensure. They go with the process, however that ends: there is never a reason to
// delete the second file. The file must be on a local disk: locks and fsync of network
// file systems promise less.
package journal
