-- The tables of the betting platform's own books. River and package sqlstore bring theirs.

-- A player's balance is the sum of the player's entries, kept here so that the database itself
-- refuses to go below zero. No other account has such a row: "in flight" and "paid" are sums of
-- entries, so no payout waits for the lock of another player's.
CREATE TABLE IF NOT EXISTS player (
	id      text PRIMARY KEY,
	balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
	frozen  text NOT NULL DEFAULT '' -- why, empty if the player may withdraw
);

-- The primary key makes a withdrawal unique for ever. A unique job of River is forgotten when
-- River's cleaner removes it.
CREATE TABLE IF NOT EXISTS withdrawal (
	reference      text PRIMARY KEY,
	player         text NOT NULL REFERENCES player,
	centavos       bigint NOT NULL CHECK (centavos > 0),
	name           text NOT NULL,
	document       text NOT NULL,
	key_type       text NOT NULL,
	pix_key        text NOT NULL,
	state          text NOT NULL CHECK (state IN ('HELD', 'PENDING', 'POSTED', 'VOIDED')),
	reason         text NOT NULL DEFAULT '', -- why it is HELD or VOIDED
	transaction_id text NOT NULL DEFAULT '', -- the gateway's, once it has accepted the payment
	fencing_token  bigint NOT NULL DEFAULT 0, -- rises each time that a worker sends the payment
	doubt_since    timestamptz, -- when a payment of unknown outcome was first sent
	requested_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
	traceparent    text NOT NULL DEFAULT '' -- the span of the request, empty if it had none
);
CREATE INDEX IF NOT EXISTS withdrawal_player ON withdrawal (player, requested_at);
-- By reference, because PostgreSQL may use it to find one withdrawal that is open: an index by time would
-- have it read all of them.
CREATE INDEX IF NOT EXISTS withdrawal_open ON withdrawal (reference) WHERE state IN ('HELD', 'PENDING');

-- Each entry moves an amount from one account to another, so the books balance by construction.
-- A withdrawal has one PENDING entry, and one that ends it: POSTED or VOIDED, never both.
CREATE TABLE IF NOT EXISTS entry (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	withdrawal   text REFERENCES withdrawal,
	phase        text NOT NULL CHECK (phase IN ('DEPOSIT', 'PENDING', 'POSTED', 'VOIDED')),
	from_account text NOT NULL,
	to_account   text NOT NULL CHECK (to_account <> from_account),
	centavos     bigint NOT NULL CHECK (centavos > 0),
	made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
	CHECK ((phase = 'DEPOSIT') = (withdrawal IS NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS entry_once ON entry (withdrawal, (phase = 'PENDING')) WHERE withdrawal IS NOT NULL;

CREATE OR REPLACE FUNCTION entry_is_final() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'entries are never changed: correct one by another'; END $$;
DROP TRIGGER IF EXISTS entry_is_final ON entry;
CREATE TRIGGER entry_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON entry EXECUTE FUNCTION entry_is_final();

-- Alarms are for people. No money moves because of one.
CREATE TABLE IF NOT EXISTS alarm (
	reference text NOT NULL,
	what      text NOT NULL,
	raised_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (reference, what)
);

-- One row holds the settings of all processes.
CREATE TABLE IF NOT EXISTS control (
	one          boolean PRIMARY KEY DEFAULT true CHECK (one),
	stopped      text NOT NULL DEFAULT '', -- why no payout is made, empty if payouts are made
	per_second   int NOT NULL DEFAULT 50 CHECK (per_second > 0), -- payouts of all processes together
	hour_limit   bigint NOT NULL DEFAULT 50000000, -- centavos, of all players in an hour
	player_limit bigint NOT NULL DEFAULT 1000000 -- centavos, of one player in 24 hours
);
INSERT INTO control DEFAULT VALUES ON CONFLICT DO NOTHING;

-- The next payout may be sent at next_at. A process that takes a slice of 20 moves it on by 20.
CREATE TABLE IF NOT EXISTS rate_limit (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	next_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO rate_limit DEFAULT VALUES ON CONFLICT DO NOTHING;

-- The sum of the withdrawals of an hour, for hour_limit.
CREATE TABLE IF NOT EXISTS hourly_total (
	hour     timestamptz PRIMARY KEY,
	centavos bigint NOT NULL
);
