package main

import "time"

// timeouts bound what a worker does for a withdrawal. Their order is what counts: River must not
// give a job to another worker while the first may still be sending, so
//
//	wait + call + book < job < rescue
//
// River's own defaults are wrong for payments: its job ends after one minute, in the middle of a
// call, and a job whose worker was killed is tried again after an hour.
type timeouts struct {
	wait   time.Duration // for the stop switch and the rate limit, before the call
	call   time.Duration // CreateCashOut: its retries go on for 90 s, and the last attempt lasts up to 30 s
	book   time.Duration // to record the outcome, also when the job's context has ended
	job    time.Duration // River's JobTimeout
	rescue time.Duration // River's RescueStuckJobsAfter
	stop   time.Duration // for jobs to end when the process is asked to; then their calls are cut short
}

var defaultTimeouts = timeouts{
	wait:   15 * time.Second,
	call:   120 * time.Second,
	book:   10 * time.Second,
	job:    150 * time.Second,
	rescue: 180 * time.Second,
	stop:   15 * time.Second,
}

// faster returns the timeouts divided by n, for demonstrations.
func (t timeouts) faster(times int) timeouts {
	n := time.Duration(times)
	return timeouts{t.wait / n, t.call / n, t.book / n, t.job / n, t.rescue / n, t.stop / n}
}
