package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

const queueName = "payouts"

// payout is the job that pays a withdrawal. It says "look at this withdrawal" and nothing else:
// what is to be paid is in the withdrawal's row, and so is whether it may be paid.
type payout struct {
	Reference string `json:"reference"`
}

// Kind implements [river.JobArgs].
func (payout) Kind() string { return "payout" }

// InsertOpts implements [river.JobArgsWithInsertOpts]. There are no UniqueOpts: River forgets a job
// that has ended, and a second job for a withdrawal does no harm.
func (payout) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: queueName,
		// The job itself never fails, but each kill of its process counts as an attempt. River
		// discards a job after the last one.
		MaxAttempts: 10_000,
	}
}

// queueConfig returns the configuration of River in a process that pays. With pollOnly River uses
// no LISTEN, for PgBouncer in transaction mode.
func queueConfig(t timeouts, workers *river.Workers, concurrency int, pollOnly bool, logger *slog.Logger) *river.Config {
	return &river.Config{
		Queues:               map[string]river.QueueConfig{queueName: {MaxWorkers: concurrency}},
		Workers:              workers,
		JobTimeout:           t.job,
		RescueStuckJobsAfter: t.rescue,
		SoftStopTimeout:      t.stop,
		PollOnly:             pollOnly,
		Logger:               logger,
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(requeueEvery),
			func() (river.JobArgs, *river.InsertOpts) { return requeue{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})},
	}
}

// requeueEvery is how often pending withdrawals are looked for that no job pays.
const requeueEvery = 10 * time.Minute

// requeue is the job that inserts a payout for each pending withdrawal that has none: after the
// queue was emptied, after a restore from a backup, or if River has discarded the job.
type requeue struct{}

// Kind implements [river.JobArgs].
func (requeue) Kind() string { return "requeue" }

// InsertOpts implements [river.JobArgsWithInsertOpts].
func (requeue) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: queueName} }

type requeuer struct {
	river.WorkerDefaults[requeue]
	books *books
}

// Work implements [river.Worker].
func (r *requeuer) Work(ctx context.Context, _ *river.Job[requeue]) error {
	_, err := r.books.requeue(ctx)
	return err
}

// requeue inserts a job for each withdrawal that has been pending for a minute, was not accepted
// and has no job. It returns how many.
func (b *books) requeue(ctx context.Context) (inserted int, err error) {
	rows, err := b.db.QueryContext(ctx, `SELECT reference FROM withdrawal w
		WHERE state = 'PENDING' AND transaction_id = '' AND requested_at < clock_timestamp() - interval '1 minute'
		AND NOT EXISTS (SELECT FROM river_job WHERE kind = 'payout' AND args @> jsonb_build_object('reference', w.reference)
			AND state NOT IN ('completed', 'cancelled', 'discarded'))
		ORDER BY requested_at LIMIT 1000`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var jobs []river.InsertManyParams
	for rows.Next() {
		var reference string
		if err := rows.Scan(&reference); err != nil {
			return 0, err
		}
		jobs = append(jobs, river.InsertManyParams{Args: payout{reference}})
	}
	if err := rows.Err(); err != nil || len(jobs) == 0 {
		return 0, err
	}
	return b.jobs.InsertManyFast(ctx, jobs)
}
