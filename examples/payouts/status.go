package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// status prints what a person on call wants to know, and audits the books.
func (b *books) status(ctx context.Context, out io.Writer) (err error) {
	rows, err := b.db.QueryContext(ctx, `
		SELECT 'payouts', CASE stopped WHEN '' THEN 'are made' ELSE 'are stopped: ' || stopped END FROM control
		UNION ALL SELECT state, count(*) || ' withdrawals, R$ ' || round(sum(centavos) / 100.0, 2) FROM withdrawal GROUP BY state
		UNION ALL SELECT 'oldest pending', coalesce(min(requested_at)::text, 'none') FROM withdrawal WHERE state = 'PENDING'
		UNION ALL SELECT 'overdue', count(*)::text FROM withdrawal
			WHERE state = 'PENDING' AND requested_at < clock_timestamp() - $1 * interval '1 second'
		UNION ALL SELECT 'unknown outcome', count(*)::text FROM withdrawal WHERE state = 'PENDING' AND doubt_since IS NOT NULL
		UNION ALL SELECT 'alarm', reference || ': ' || what FROM alarm`, payWithin.Seconds())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		fmt.Fprintf(out, "%-16s %s\n", name, value)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := b.audit(ctx); err != nil {
		return fmt.Errorf("the books differ:\n%w", err)
	}
	fmt.Fprintln(out, "the books are equal to the centavo")
	return nil
}
