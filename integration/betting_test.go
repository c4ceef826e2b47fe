package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// The functions that docs/betting.md shows begin here.

// holderOf returns the player of a deposit.
func holderOf(ctx context.Context, charge *connectpsp.CashIn) (connectpsp.Holder, error) {
	return registered(sqlstore.Tx(ctx).QueryContext(ctx, `SELECT p.document, a.ispb, a.branch, a.account
		FROM deposits d JOIN players p ON p.id = d.player JOIN accounts a ON a.player = p.id
		WHERE d.reference = $1`, charge.ExternalReference))
}

// registered reads a player, with a row for each account.
func registered(rows *sql.Rows, err error) (connectpsp.Holder, error) {
	var player connectpsp.Holder
	if err != nil {
		return player, err
	}
	defer rows.Close()
	for rows.Next() {
		var account connectpsp.BankData
		if err := rows.Scan(&player.Document, &account.ISPB, &account.Branch, &account.Account); err != nil {
			return player, err
		}
		player.Accounts = append(player.Accounts, account)
	}
	if rows.Err() == nil && len(player.Accounts) == 0 {
		return player, errors.New("no such order, or a player without an account")
	}
	return player, rows.Err()
}

// apply books a step of a payment. A deposit is EXPECTED at first.
func apply(ctx context.Context, step webhook.Transition) error {
	var state string
	switch {
	case step.Kind == webhook.KindCashOut:
		return applyWithdrawal(ctx, step) // see below
	case step.MissedPayment:
		state = "REVIEW" // the return came before the payment: a person looks
	case step.To == webhook.StatusPaid:
		return creditPlayer(ctx, step.CashIn)
	case step.To == webhook.StatusPaidByOther:
		state = "PAID BY OTHER" // WithPayerRefund returns it
	case step.To == webhook.StatusPaidByUnknown:
		state = "PAID BY UNKNOWN" // a person asks for the receipt
	case step.To == webhook.StatusRefunded:
		return bookReturn(ctx, step)
	default:
		return nil
	}
	_, err := sqlstore.Tx(ctx).ExecContext(ctx, `UPDATE deposits SET state = $1 WHERE reference = $2`, state, step.CashIn.ExternalReference)
	if err != nil || !step.MissedPayment {
		return err
	}
	_, err = sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO alarms (reference) VALUES ($1)`, step.CashIn.ExternalReference)
	return err
}

func creditPlayer(ctx context.Context, charge *connectpsp.CashIn) error {
	var player int64
	tx := sqlstore.Tx(ctx)
	err := tx.QueryRowContext(ctx, `UPDATE deposits SET state = 'PAID' WHERE reference = $1 AND centavos = $2 AND state = 'EXPECTED'
		RETURNING player`,
		charge.ExternalReference, charge.Amount.Centavos()).Scan(&player)
	if err != nil {
		return err // sql.ErrNoRows: no such deposit, another amount, or credited before
	}
	_, err = tx.ExecContext(ctx, `UPDATE players SET centavos = centavos + $1 WHERE id = $2`, charge.Amount.Centavos(), player)
	return err
}

func bookReturn(ctx context.Context, step webhook.Transition) error {
	result, err := sqlstore.Tx(ctx).ExecContext(ctx, `UPDATE deposits SET state = 'RETURNED' WHERE reference = $1 AND state <> 'PAID'`,
		step.CashIn.ExternalReference)
	if err != nil {
		return err
	}
	if uncredited, err := result.RowsAffected(); err != nil || uncredited > 0 {
		return err // it was never credited: debit nobody, and credit it no more
	}
	if step.Unrequested || step.ReturnUnclear {
		return blockPlayer(ctx, step.CashIn) // see below: a MED return, most likely
	}
	return nil // a refund of yours: the player was debited before you requested it
}

// applyWithdrawal books a step of a withdrawal, which was debited before it was paid.
func applyWithdrawal(ctx context.Context, step webhook.Transition) error {
	tx, reference := sqlstore.Tx(ctx), step.CashOut.ExternalReference
	if step.Late || step.Contradiction || step.To == webhook.StatusRefunded {
		if _, err := tx.ExecContext(ctx, `INSERT INTO alarms (reference) VALUES ($1)`, reference); err != nil {
			return err
		}
	}
	switch {
	case step.Contradiction:
		return nil // a person looks: the money may have left twice
	case step.To == webhook.StatusCompleted:
		_, err := tx.ExecContext(ctx, `UPDATE withdrawals SET state = 'PAID' WHERE reference = $1`, reference)
		return err
	case step.To == webhook.StatusFailed, step.To == webhook.StatusCancelled:
		var player, centavos int64
		err := tx.QueryRowContext(ctx, `UPDATE withdrawals SET state = 'GIVEN BACK' WHERE reference = $1 AND state IN ('OPEN', 'ACCEPTED')
			RETURNING player, centavos`, reference).Scan(&player, &centavos)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // it was given back before
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE players SET centavos = centavos + $1 WHERE id = $2`, centavos, player)
		return err
	default:
		return nil // still open, or back: a person looks
	}
}

// blockPlayer stops the withdrawals of a player whose deposit came back, until a person has debited
// what the statement says. A return may be in parts, so the amount of the event proves nothing.
func blockPlayer(ctx context.Context, charge *connectpsp.CashIn) error {
	tx := sqlstore.Tx(ctx)
	if _, err := tx.ExecContext(ctx, `UPDATE players SET blocked = true
		WHERE id = (SELECT player FROM deposits WHERE reference = $1)`, charge.ExternalReference); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO alarms (reference) VALUES ($1)`, charge.ExternalReference)
	return err
}

// topUp keeps the money of the players in the transactional account: their wallets, open bets and
// withdrawals under way.
func topUp(ctx context.Context, client *connectpsp.Client, owed pix.Amount) error {
	balance, err := client.GetBalance(ctx)
	if err != nil || balance.Consolidated.TransactionalBalance.Cmp(owed) >= 0 {
		return err
	}
	_, err = client.RebalanceAccount(ctx, owed)
	return err // after an unknown outcome the next call reads the balance and sets the target again
}

// forgetPlayer erases the personal data of a player in the inbox and the journal.
func forgetPlayer(ctx context.Context, store *sqlstore.Store, document string) error {
	forgotten, err := store.ForgetPerson(ctx, document)
	if err != nil {
		return err
	}
	if forgotten.Kept > 0 {
		return fmt.Errorf("%d bodies are of payments or events that are not done: call again later", forgotten.Kept)
	}
	return nil
}

// They end here.

func TestTheFunctionsOfTheBettingPageAreTheTestedOnes(t *testing.T) {
	page, err := os.ReadFile("../docs/betting.md")
	require.NoError(t, err)
	tested, err := os.ReadFile("betting_test.go")
	require.NoError(t, err)
	shown := 0
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if regexp.MustCompile(`(?m)^func `).MatchString(block[1]) && !regexp.MustCompile(`^package `).MatchString(block[1]) {
			assert.Contains(t, string(tested), block[1])
			shown++
		}
	}
	assert.Equal(t, 6, shown)
}

// bettor is the operator of docs/betting.md with one player, on a database.
type bettor struct {
	*testing.T
	db      *sql.DB
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	store   *sqlstore.Store
	worker  *webhook.Worker
	url     string
}

func newBettor(t *testing.T, s server, db *sql.DB) *bettor {
	for _, statement := range append(tablesOfThePage(t, "../docs/betting.md"),
		`INSERT INTO players (id, document) VALUES (1, '12345678909')`,
		`INSERT INTO accounts VALUES (1, '18236120', '0001', '94771084-0'), (1, '00000000', '0001', '1-9')`) {
		execute(t, db, statement)
	}
	b := &bettor{T: t, db: db, store: openStore(t, s, db)}
	var err error
	b.gateway, err = sandbox.Start()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.gateway.Close()) })
	b.client, err = connectpsp.New(b.gateway.Config(), connectpsp.WithJournal(b.store.Journal()), connectpsp.WithPayeeCheck(
		func(ctx context.Context, request connectpsp.CashOutRequest) (connectpsp.Holder, error) {
			return registered(db.QueryContext(ctx, `SELECT p.document, a.ispb, a.branch, a.account
			FROM withdrawals w JOIN players p ON p.id = w.player JOIN accounts a ON a.player = p.id
			WHERE w.reference = $1`, request.ExternalReference))
		}))
	require.NoError(t, err)
	handler, err := webhook.NewHandler(b.store.Inbox(), b.gateway.Config().CryptoToken)
	require.NoError(t, err)
	receiver := httptest.NewServer(handler)
	t.Cleanup(receiver.Close)
	b.url = receiver.URL
	b.worker = webhook.NewWorker(b.store.Inbox(), b.client, apply, webhook.WithPayerCheck(holderOf),
		webhook.WithPayerRefund(connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError}))
	return b
}

// work processes the webhooks that have come.
func (b *bettor) work() {
	b.Helper()
	require.NoError(b, b.gateway.WaitWebhooks(b.Context()))
	for worked := true; worked; {
		var err error
		worked, err = b.worker.Work(b.Context())
		require.NoError(b, err)
	}
}

// deposit makes a charge of R$ 100.00, which is paid. Its event comes five times.
func (b *bettor) deposit(reference string, payer connectpsp.Payer) (transactionID string) {
	b.Helper()
	execute(b, b.db, `INSERT INTO deposits (reference, player, centavos) VALUES ($1, 1, 10000)`, reference)
	charge, err := b.client.CreateCashIn(b.Context(), connectpsp.CashInRequest{Amount: pix.Centavos(100_00), ExternalReference: reference,
		WebhookURL: b.url, Payer: connectpsp.Payer{Name: "Ana Lima", Document: "12345678909"}})
	require.NoError(b, err)
	require.NoError(b, b.gateway.PayCashInWith(charge.TransactionID, sandbox.Payment{Payer: payer}))
	b.work()
	for range 4 {
		require.NoError(b, b.gateway.Redeliver(charge.TransactionID))
	}
	b.work()
	return charge.TransactionID
}

func (b *bettor) withdraw(reference, key string) (*connectpsp.CashOut, error) {
	execute(b, b.db, `UPDATE players SET centavos = centavos - 4000`)
	execute(b, b.db, `INSERT INTO withdrawals (reference, player, centavos) VALUES ($1, 1, 4000)`, reference)
	return b.client.CreateCashOut(b.Context(), connectpsp.CashOutRequest{Amount: pix.Centavos(40_00), ExternalReference: reference, WebhookURL: b.url,
		Payee: connectpsp.Payee{Name: "Ana Lima", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, key)}})
}

// books returns the player's balance, whether withdrawals are blocked, and the alarms.
func (b *bettor) books() string {
	b.Helper()
	return fmt.Sprintf("%d blocked %d alarms %d", number(b, b.db, `SELECT centavos FROM players`),
		number(b, b.db, `SELECT count(*) FROM players WHERE blocked`), number(b, b.db, `SELECT count(*) FROM alarms`))
}

func (b *bettor) state(table, reference string) (state string) {
	b.Helper()
	require.NoError(b, b.db.QueryRowContext(b.Context(), `SELECT state FROM `+table+` WHERE reference = $1`, reference).Scan(&state))
	return state
}

func TestTheFunctionsOfTheBettingPageCreditAndDebitOnlyWhatIsThePlayers(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		b := newBettor(t, s, db)
		own := connectpsp.Payer{BankData: &connectpsp.BankData{ISPB: "18236120", Branch: "1", Account: "947710840"}}
		first := b.deposit("own", own)
		assert.Equal(t, "10000 blocked 0 alarms 0", b.books())
		for reference, payer := range map[string]connectpsp.Payer{
			"another person": {Name: "Jose Souza", Document: "98765432100", BankData: own.BankData},
			"an echo":        {BankData: &connectpsp.BankData{ISPB: "18236120", Branch: "1", Account: "77-1"}},
		} {
			foreign := b.deposit(reference, payer)
			assert.Equal(t, "PAID BY OTHER", b.state("deposits", reference))
			require.NoError(t, b.gateway.SettleRefund(foreign))
			b.work()
			assert.Equal(t, "RETURNED", b.state("deposits", reference))
		}
		unknown := b.deposit("no check digit", connectpsp.Payer{BankData: &connectpsp.BankData{ISPB: "18236120", Branch: "1", Account: "94771084"}})
		assert.Equal(t, "PAID BY UNKNOWN", b.state("deposits", "no check digit"))
		require.NoError(t, b.gateway.ReturnCashIn(unknown))
		b.work()
		assert.Equal(t, "RETURNED", b.state("deposits", "no check digit"), "it must not be credited by hand any more")
		assert.Equal(t, "10000 blocked 0 alarms 0", b.books())
		assert.Len(t, b.gateway.Requests().ByOperation("refundCashIn"), 2)

		paid, err := b.withdraw("paid", "12345678909")
		require.NoError(t, err)
		require.NoError(t, b.gateway.CompleteCashOut(paid.TransactionID))
		failed, err := b.withdraw("failed", "12345678909")
		require.NoError(t, err)
		require.NoError(t, b.gateway.FailCashOut(failed.TransactionID, "PIX_KEY_NOT_FOUND", "There is no such key."))
		b.work()
		assert.Equal(t, "PAID", b.state("withdrawals", "paid"))
		assert.Equal(t, "GIVEN BACK", b.state("withdrawals", "failed"))
		assert.Equal(t, "6000 blocked 0 alarms 0", b.books())
		_, err = b.withdraw("to another", "98765432100")
		require.ErrorIs(t, err, connectpsp.ErrNotSent)
		assert.Empty(t, b.gateway.CashOuts().ByReference("to another"))

		require.NoError(t, b.gateway.ReturnCashOut(paid.TransactionID))
		require.NoError(t, b.gateway.ReturnCashInPart(first, pix.Centavos(30_00)))
		b.work()
		assert.Equal(t, "2000 blocked 1 alarms 2", b.books(), "a person books returns")

		owed := pix.Centavos(600_000_00)
		require.NoError(t, topUp(t.Context(), b.client, owed))
		require.NoError(t, topUp(t.Context(), b.client, pix.Centavos(1)))
		transactional, _ := b.gateway.Balances()
		assert.Equal(t, owed, transactional)
		require.NoError(t, forgetPlayer(t.Context(), b.store, "12345678909"))
	})
}
