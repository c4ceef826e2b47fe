package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/connectpsp/connectpsp-go/webhook"
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
		Plugins:              queuePlugins(),
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(reconcileEvery),
			func() (river.JobArgs, *river.InsertOpts) { return reconcile{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})},
	}
}

// reconcileEvery is how often withdrawals are looked for that are pending for too long.
const reconcileEvery = 5 * time.Minute

// reconcile is the job that looks after withdrawals which have been pending for some minutes: those
// that no job pays, and those of which no webhook has told how they ended.
type reconcile struct{}

// Kind implements [river.JobArgs].
func (reconcile) Kind() string { return "reconcile" }

// InsertOpts implements [river.JobArgsWithInsertOpts].
func (reconcile) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: queueName} }

type reconciler struct {
	river.WorkerDefaults[reconcile]
	books  *books
	worker *webhook.Worker
}

// Work implements [river.Worker].
func (r *reconciler) Work(ctx context.Context, _ *river.Job[reconcile]) error {
	_, err := r.books.requeue(ctx)
	return errors.Join(err, r.books.watchAccepted(ctx, r.worker))
}

// requeue inserts a job for each withdrawal that was not accepted and has none: after the queue was
// emptied, after a restore from a backup, or if River has discarded the job. It returns how many.
func (b *books) requeue(ctx context.Context) (inserted int, err error) {
	references, err := b.texts(ctx, `SELECT reference FROM withdrawal w
		WHERE state = 'PENDING' AND transaction_id = '' AND requested_at < clock_timestamp() - interval '1 minute'
		AND NOT EXISTS (SELECT FROM river_job WHERE kind = 'payout' AND args @> jsonb_build_object('reference', w.reference)
			AND state NOT IN ('completed', 'cancelled', 'discarded'))
		ORDER BY requested_at LIMIT 1000`)
	if err != nil || len(references) == 0 {
		return 0, err
	}
	var jobs []river.InsertManyParams
	for _, reference := range references {
		jobs = append(jobs, river.InsertManyParams{Args: payout{reference}})
	}
	return b.jobs.InsertManyFast(ctx, jobs)
}

// watchAccepted has the gateway asked how accepted payments ended, if no webhook has told within
// some minutes, and again when they are due. Watching a payment twice does nothing. To watch each
// when it is accepted would cost a transaction more for all those whose webhook comes.
func (b *books) watchAccepted(ctx context.Context, worker *webhook.Worker) error {
	rows, err := b.db.QueryContext(ctx, `SELECT transaction_id, requested_at FROM withdrawal
		WHERE state = 'PENDING' AND transaction_id <> '' AND requested_at < clock_timestamp() - interval '5 minutes'
		ORDER BY requested_at LIMIT 1000`)
	if err != nil {
		return err
	}
	defer rows.Close()
	requestedAt := map[string]time.Time{} // read to the end first: each watch takes a connection
	for rows.Next() {
		var id string
		var at time.Time
		if err := rows.Scan(&id, &at); err != nil {
			return err
		}
		requestedAt[id] = at
	}
	err = rows.Err()
	for id, at := range requestedAt {
		err = errors.Join(err, worker.WatchCashOut(ctx, id), worker.WatchDueBy(ctx, id, at.Add(payWithin)))
	}
	return err
}

// texts returns what a query of one column returns.
func (b *books) texts(ctx context.Context, query string, arguments ...any) (texts []string, err error) {
	rows, err := b.db.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}
