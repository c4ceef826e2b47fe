package main

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// sliceSize is how many payouts a process takes from the rate limit at a time, or as many as half a
// second allows if that is less. One change of the row for each payout would make it a hot row.
const sliceSize = 20

// staleAfter is when a payout that was not made may no longer be, so that a quiet process saves up
// none for a burst.
const staleAfter = time.Second

// rateLimiter keeps all processes together under the payouts a second in the table control. It
// spaces them evenly: one row says when the next may be sent, and each process moves it on by a
// slice. Goroutines may share it.
type rateLimiter struct {
	db *sql.DB

	mu    sync.Mutex
	slice []time.Time // when this process may send, earliest first
}

var errRateLimited = errors.New("the rate limit of payouts is reached")

// wait waits until a payout may be sent. If that is after the deadline of ctx, it returns
// errRateLimited at once.
func (r *rateLimiter) wait(ctx context.Context) error {
	at, err := r.next(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *rateLimiter) next(ctx context.Context) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		for len(r.slice) > 0 {
			at := r.slice[0]
			if deadline, ok := ctx.Deadline(); ok && at.After(deadline) {
				return time.Time{}, errRateLimited
			}
			r.slice = r.slice[1:]
			if time.Since(at) < staleAfter {
				return at, nil
			}
		}
		if err := r.take(ctx); err != nil {
			return time.Time{}, err
		}
	}
}

// take takes the next slice. Its times come from the database's clock: the row tells how long from
// now the slice ends.
func (r *rateLimiter) take(ctx context.Context) error {
	var size int
	var interval, end float64 // seconds
	err := r.db.QueryRowContext(ctx, `UPDATE rate_limit
		SET next_at = greatest(next_at, clock_timestamp()) + size * interval '1 second' / per_second
		FROM (SELECT per_second, least($1, greatest(1, per_second / 2)) AS size FROM control) c
		RETURNING size, 1.0 / per_second, extract(epoch FROM next_at - clock_timestamp())`, sliceSize).Scan(&size, &interval, &end)
	if err != nil {
		return err
	}
	now := time.Now()
	for left := size; left > 0; left-- {
		r.slice = append(r.slice, now.Add(time.Duration((end-float64(left)*interval)*float64(time.Second))))
	}
	return nil
}
