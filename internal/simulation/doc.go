// Package simulation tests the promises of package connectpsp about money by deterministic
// simulation: the real client pays in virtual time (testing/synctest), through models of the
// gateway, the network and the journal that fail in every way, in thousands of schedules a second.
// It has tests only, and uses exported names of connectpsp only.
//
// A schedule is one history of a few payments. Read simulation_test.go first. The other files are:
//
//   - order, recovery, call: the owner of the payments, who acts by docs/money-safety.md
//   - process: the owner's program, which may die and start again; a fleet of two or three, each of
//     which may be frozen, or cut off from the journal
//   - network: the faults that a request and its response meet
//   - gateway, variant: the gateway, in every way in which the real one may behave
//   - journal: the journal, which may fail
//   - shared: the journal of a fleet, with leases; keep it in step with package sqlstore
//   - checker: the promises; it compares the client's reports with the gateway's payments
//   - schedule: the scheduler, which lets one goroutine of the client go on at a time
//   - choices: the sequence of all decisions of a schedule, drawn from a seed
//   - client: the configuration of the client, its outcomes, and a stub for its tokens
//   - counters: evidence that a run has met everything that may happen
//
// # Running it
//
//	make simulate     # a million schedules, as CI does
//	go test ./internal/simulation -simulate.n 100000 -simulate.seed 2
//
// The exhaustive test draws nothing: it tries every sequence of faults that the attempts of one
// payment may meet (-exhaustive.attempts).
//
// # Reading a story
//
// A schedule that breaks a promise is shrunk to the fewest choices that still break it, and printed
// as a story, with the command that replays it:
//
//	0s  the gateway: keeps keys forever, enough funds, checks key reference funds
//	0s  processes: 1, no journal, MaxAttempts 0, at most 0 crashes
//	0s  call 2 begins: process 1 pays order0-0, attempt 0
//	0s  call 2: POST: response lost
//	0s  the gateway pays order0-0 (request 3, key bde3) as t1
//	0s  the gateway responds to order0-0 (request 3, key bde3): 202
//
// Each line has the time since the schedule began. The line of a call names its access to the
// network or the journal, and the fault that it meets there; order0-0 is the first order under its
// first reference. The last line names the broken promise.
//
// # Adding to it
//
//   - a fault of the network: a line in faults
//   - a kind of gateway: a field of variant
//   - a fault of the journal: an entry of journalResults, and its case in accessJournal
//   - what may happen to a process of a fleet: an entry of troubles
//   - an act of the owner: a case in decideNext or repeatMismatched
//   - a promise: a method of checker, and a client that breaks it in package mutations
//
// A new draw changes the schedules of every seed, and the commands that replay old stories. A run
// of 10,000 schedules fails if something that may happen never did (requireEverything).
package simulation
