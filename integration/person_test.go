package integration

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
	"github.com/connectpsp/connectpsp-go/sqlstore"
	"github.com/connectpsp/connectpsp-go/webhook"
)

// wallet pays and is paid in the sandbox, with its journal, its inbox and its books in one
// database.
type wallet struct {
	t       *testing.T
	s       server
	db      *sql.DB
	store   *sqlstore.Store
	gateway *sandbox.Sandbox
	client  *connectpsp.Client
	worker  *webhook.Worker
	url     string
}

func newWallet(t *testing.T, s server, db *sql.DB) *wallet {
	w := &wallet{t: t, s: s, db: db, store: openStore(t, s, db)}
	execute(t, db, `CREATE TABLE books (reference text NOT NULL, status text NOT NULL, centavos bigint NOT NULL)`)
	var err error
	w.gateway, err = sandbox.Start(sandbox.WithBalance(pix.Centavos(1_000_000), pix.Amount{}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.gateway.Close()) })
	w.client = process(t, w.gateway, w.store, connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}))
	silent := slog.New(slog.DiscardHandler)
	handler, err := webhook.NewHandler(w.store.Inbox(), w.gateway.Config().CryptoToken)
	require.NoError(t, err)
	handler.Logger = silent
	receiver := httptest.NewServer(handler)
	t.Cleanup(receiver.Close)
	w.url = receiver.URL
	w.worker = webhook.NewWorker(w.store.Inbox(), w.client, func(ctx context.Context, step webhook.Transition) error {
		var reference string
		var amount pix.Amount
		if step.CashIn != nil {
			reference, amount = step.CashIn.ExternalReference, step.CashIn.Amount
		} else {
			reference, amount = step.CashOut.ExternalReference, step.CashOut.Amount
		}
		_, err := sqlstore.Tx(ctx).ExecContext(ctx, `INSERT INTO books (reference, status, centavos) VALUES ($1, $2, $3)`,
			reference, string(step.To), amount.Centavos())
		return err
	}, webhook.WithLogger(silent))
	return w
}

// charge is paid by a person. The event is stored, and waits for the worker.
func (w *wallet) charge(reference string, payer connectpsp.Payer) *connectpsp.CashIn {
	w.t.Helper()
	charge, err := w.client.CreateCashIn(w.t.Context(), connectpsp.CashInRequest{
		Amount: pix.Centavos(1000), ExternalReference: reference, Payer: connectpsp.Payer{Name: payer.Name, Document: payer.Document}, WebhookURL: w.url,
	})
	require.NoError(w.t, err)
	require.NoError(w.t, w.gateway.PayCashInWith(charge.TransactionID, sandbox.Payment{Payer: payer}))
	w.deliver()
	return charge
}

func (w *wallet) payoutTo(reference string, payee connectpsp.Payee) connectpsp.CashOutRequest {
	return connectpsp.CashOutRequest{
		Amount: pix.Centavos(300), Description: "Prize of " + payee.Name, ExternalReference: reference, Payee: payee, WebhookURL: w.url,
	}
}

func (w *wallet) payout(reference string, payee connectpsp.Payee) {
	w.t.Helper()
	payment, err := w.client.CreateCashOut(w.t.Context(), w.payoutTo(reference, payee))
	require.NoError(w.t, err)
	require.NoError(w.t, w.gateway.CompleteCashOut(payment.TransactionID))
	w.deliver()
}

// deliver waits until all events are stored.
func (w *wallet) deliver() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(w.t, w.gateway.WaitWebhooks(ctx))
}

// work processes all events that are due.
func (w *wallet) work() {
	w.t.Helper()
	for {
		worked, err := w.worker.Work(w.t.Context())
		require.NoError(w.t, err)
		if !worked {
			return
		}
	}
}

// books returns the rows of the books, in order.
func (w *wallet) books() string {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), `SELECT reference, status, centavos FROM books ORDER BY reference, status`)
	require.NoError(w.t, err)
	defer rows.Close()
	var all strings.Builder
	for rows.Next() {
		var reference, status string
		var centavos int64
		require.NoError(w.t, rows.Scan(&reference, &status, &centavos))
		fmt.Fprintln(&all, reference, status, centavos)
	}
	require.NoError(w.t, rows.Err())
	return all.String()
}

// dump returns all that the database has, as a backup of it would.
func (w *wallet) dump() string {
	w.t.Helper()
	if w.s.dialect == sqlstore.SQLite {
		return dumpSQLite(w.t, w.db)
	}
	config, err := pgx.ParseConfig(os.Getenv("CONNECTPSP_TEST_POSTGRES"))
	require.NoError(w.t, err)
	var database string
	require.NoError(w.t, w.db.QueryRowContext(w.t.Context(), `SELECT current_database()`).Scan(&database))
	command := newDirectory(w.t).command("pg_dump", "-h", config.Host, "-U", config.User, database)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	dump, err := command.Output()
	require.NoError(w.t, err, "%s", &complaints)
	return string(dump)
}

// dumpSQLite returns the values of all columns of all tables.
func dumpSQLite(t *testing.T, db *sql.DB) string {
	t.Helper()
	var tables []string
	names, err := db.QueryContext(t.Context(), `SELECT name FROM sqlite_master WHERE type = 'table'`)
	require.NoError(t, err)
	defer names.Close()
	for names.Next() {
		var name string
		require.NoError(t, names.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, names.Err())
	var dump strings.Builder
	for _, table := range tables {
		rows, err := db.QueryContext(t.Context(), `SELECT * FROM `+table)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		values, places := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
		for n := range values {
			places[n] = &values[n]
		}
		for rows.Next() {
			require.NoError(t, rows.Scan(places...))
			for _, value := range values {
				dump.Write(value)
				dump.WriteByte('\n')
			}
		}
		require.NoError(t, errors.Join(rows.Err(), rows.Close()))
	}
	return dump.String()
}

// found returns those of the texts that a dump has. The dump of PostgreSQL has bodies in
// hexadecimal.
func found(dump string, texts ...string) (all []string) {
	for _, text := range texts {
		if strings.Contains(dump, text) || strings.Contains(dump, hex.EncodeToString([]byte(text))) {
			all = append(all, text)
		}
	}
	return all
}

func TestNothingOfAForgottenPersonIsInADumpAndBooksAndRecoverWork(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		w := newWallet(t, s, db)
		const document, punctuated = "52998224725", "529.982.247-25"
		maria := connectpsp.Payer{Name: "Maria Silva", Document: document, BankData: &connectpsp.BankData{ISPB: "18236120", Account: "77001122", Bank: "Bank of Maria"}}
		key := connectpsp.Payee{Name: maria.Name, Document: document, Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyCPF, document)}
		account := connectpsp.Payee{Name: maria.Name, Document: document, Destination: connectpsp.ToBankAccount(connectpsp.BankAccount{
			Account: "5500667", AccountType: connectpsp.AccountTypePayment, Branch: "0001", ISPB: "18236120",
		})}
		email := connectpsp.Payee{Name: maria.Name, Document: document, Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")}
		john := connectpsp.Payer{Name: "John Prado", Document: "12345678909", BankData: &connectpsp.BankData{ISPB: "18236120", Account: "99887766"}}
		hers := []string{document, punctuated, maria.Name, "77001122", "Bank of Maria", "5500667", "maria@example.com"}
		his := []string{john.Name, john.Document, "99887766"}

		w.charge("deposit-1", maria)
		refunded := w.charge("deposit-2", maria)
		w.charge("deposit-of-john", john)
		w.payout("withdrawal-1", key)
		w.payout("withdrawal-2", account)
		w.payout("withdrawal-3", email)
		w.work()
		_, err := w.client.RefundCashIn(t.Context(), refunded.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest, Description: "for CPF " + punctuated})
		require.NoError(t, err)
		require.NoError(t, w.gateway.SettleRefund(refunded.TransactionID))
		w.deliver()
		w.work()
		require.ElementsMatch(t, append(hers[:1:1], hers[2:]...), found(w.dump(), hers...), "the test has not stored what it is about")

		// One payment is open, one event waits, and one is held.
		require.NoError(t, w.gateway.FailNext("createCashOut", sandbox.LoseAnswer))
		_, err = w.client.CreateCashOut(t.Context(), w.payoutTo("withdrawal-4", key))
		require.ErrorIs(t, err, connectpsp.ErrUnknownOutcome)
		w.charge("deposit-3", maria)
		require.NoError(t, w.gateway.SendWebhook(w.url, []byte("no JSON, about CPF "+punctuated)))
		w.deliver()

		forgotten, err := w.store.ForgetPerson(t.Context(), punctuated)
		require.NoError(t, err)
		assert.Equal(t, sqlstore.Forgotten{Erased: 6, Kept: 3}, forgotten, "two deposits, their refund, three withdrawals")
		dump := w.dump()
		assert.Empty(t, found(dump, "5500667", "maria@example.com"), "of erased bodies only")
		assert.Equal(t, his, found(dump, his...))

		// Recover sends the bytes of the open payment again, and the waiting event is applied.
		execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`)
		recovered, err := w.client.Recover(t.Context())
		require.NoError(t, err)
		last := recovered[len(recovered)-1]
		require.NoError(t, last.Err)
		require.Equal(t, "withdrawal-4", last.ExternalReference)
		require.NoError(t, w.gateway.CompleteCashOut(last.TransactionID))
		w.deliver()
		w.work()
		assert.Equal(t, `deposit-1 PAID 1000
deposit-2 PAID 1000
deposit-2 REFUNDED 1000
deposit-3 PAID 1000
deposit-of-john PAID 1000
withdrawal-1 COMPLETED 300
withdrawal-2 COMPLETED 300
withdrawal-3 COMPLETED 300
withdrawal-4 COMPLETED 300
`, w.books())
		_, err = w.store.Inbox().ForgetHeld(t.Context(), time.Now().Add(time.Hour))
		require.NoError(t, err)

		forgotten, err = w.store.ForgetPerson(t.Context(), document)
		require.NoError(t, err)
		assert.Equal(t, sqlstore.Forgotten{Erased: 2}, forgotten, "the third deposit and the fourth withdrawal")
		dump = w.dump()
		assert.Empty(t, found(dump, hers...))
		assert.Equal(t, his, found(dump, his...))

		// All of it is known as before.
		books, events := w.books(), number(t, db, `SELECT count(*) FROM connectpsp_event`)
		for _, delivery := range w.gateway.Deliveries() {
			if delivery.TransactionID != "" {
				require.NoError(t, w.gateway.Redeliver(delivery.TransactionID))
			}
		}
		w.deliver()
		w.work()
		assert.Equal(t, books, w.books())
		assert.Equal(t, events, number(t, db, `SELECT count(*) FROM connectpsp_event`))
		again, err := w.client.CreateCashOut(t.Context(), w.payoutTo("withdrawal-4", key))
		require.NoError(t, err)
		assert.Equal(t, last.TransactionID, again.TransactionID)
		execute(t, db, `UPDATE connectpsp_payment SET leased_until = 0`)
		recovered, err = process(t, w.gateway, openStore(t, s, db)).Recover(t.Context())
		require.NoError(t, err)
		assert.Len(t, recovered, number(t, db, `SELECT count(*) FROM connectpsp_payment`), "all ended within the hour")
		for _, payment := range recovered {
			assert.NoError(t, payment.Err)
		}
	})
}

func TestAPersonIsFoundByTheDocumentInWhateverFormABodyHasIt(t *testing.T) {
	packed := func(text string) string {
		var body bytes.Buffer
		writer := gzip.NewWriter(&body)
		_, err := writer.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, writer.Close())
		return body.String()
	}
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		store := openStore(t, s, db)
		for document, bodies := range map[string]map[bool][]string{
			"529.982.247-25": {
				true: {
					`{"data":{"payer":{"document":"52998224725"}}}`, `{"data":{"payer":{"document":"529.982.247-25"}}}`,
					`{"data":{"payee":{"document":"***.982.247-**"}}}`, `{"document":"xxx.982.247-xx"}`, `{"document":".982.247-"}`,
					`{"document":"\u2022\u2022\u2022.982.247-\u2022\u2022"}`, `{"document":"•••.982.247-••"}`, `{"document":52998224725}`,
					`{"payee":{"destination":{"pixKey":"52998224725"}}}`, `{"description":"back to 529.982.247-25, as he asks"}`,
					`{"description":"\u0035\u00329.982.247-25"}`, `{"52998224725":true}`, `{"description":"529 982 247 25"}`,
					`{"broken":"52998224725`, "\xff\x00 529982247-25", packed(`{"document":"52998224725"}`), packed(`cut off: 52998224725`)[:38],
					"{\"description\":\"529\u00a0982\u202f247 25\"}", `{"description":"529.982.247\u201125"}`, `{"description":"529\t982\t247\t25"}`,
					`{"description":"back to\n529.982.247-25."}`, `{"description":"CPF52998224725"}`, `{"reference":"withdrawal_52998224725_1"}`,
					`{"raw":"{\"document\":\"529.982.247-25\"}"}`, `{"raw":"{\"raw\":\"{\\\"name\\\":\\\"Jos\\\\u00e9\\\\n529.982.247\\\\u201125\\\"}\"}"}`,
					`{"qrCode":"00020126330014br.gov.bcb.pix0111529982247255204000053039865802BR5905Maria6006Manaus62070503***6304ABCD"}`,
				},
				false: {
					`{"endToEndId":"E52998224725202611271122abcdefghijk"}`, `{"txid":"k52X98224725p"}`, `{"account":"529982247250"}`, `{"id":"0152998224725"}`,
					`{"id":"a52998224725"}`, `{"id":"52998224725é"}`, `{"numbers":[529,982,247,25]}`, `{"a":"529.982.","b":"247-25"}`, `{"phone":"52 99822-4725"}`,
					`{"qrCode":"00020126330014br.gov.bcb.pix0111123456789095204000053039865802BR5905Maria6006Manaus62150511529982247256304ABCD"}`,
					`{"data":{"payer":{"document":"12345678909"}}}`, `{"document":"***.982.248-**"}`, `{"document":"***.***.247-25"}`,
					`{"account":"5299822472"}`, `{}`, "", "\x1f\x8b", `{"at":"2026-05-29T98:22:47Z","id":"529-98-22-472-6"}`,
				},
			},
			"12.ABC.345/01DE-35": {
				true:  {`{"document":"12ABC34501DE35"}`, `{"document":"12.ABC.345\/01DE-35"}`, `{"document":"**.ABC.345/****-**"}`, `12.abc.345/01de-35`, `00020126360014BR.GOV.BCB.PIX011412ABC34501DE355204`},
				false: {`{"document":"12ABC34501DE36"}`, `{"id":"x12ABC34501DE35"}`, `{"id":"12ABC34501DE35x"}`, `{"document":"**.ABD.345/****-**"}`},
			},
		} {
			execute(t, db, `DELETE FROM connectpsp_event`)
			for is, bodies := range bodies {
				for n, body := range bodies {
					execute(t, db, `INSERT INTO connectpsp_event (key, body, body_sha256, received_at) VALUES ($1, $2, $2, $3)`,
						fmt.Sprint(is, n), []byte(body), -int64(n))
				}
			}
			forgotten, err := store.ForgetPerson(t.Context(), document)
			require.NoError(t, err)
			assert.EqualValues(t, len(bodies[true]), forgotten.Erased)
			for is, bodies := range bodies {
				for n, body := range bodies {
					left := number(t, db, `SELECT count(*) FROM connectpsp_event WHERE key = $1 AND body IS NOT NULL`, fmt.Sprint(is, n))
					assert.Equal(t, is, left == 0, "%q", body)
				}
			}
		}
	})
}

func TestAPersonIsNotForgottenByHalfADocumentAndNoErrorHasIt(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		store := openStore(t, s, db)
		for _, document := range []string{"", "***.982.247-**", "5299822472", "52998224724", "529.982.247-2"} {
			_, err := store.ForgetPerson(t.Context(), document)
			assert.ErrorIs(t, err, pix.ErrInvalidDocument, document)
			if document != "" {
				assert.NotContains(t, err.Error(), document)
			}
		}
		require.NoError(t, db.Close())
		_, err := store.ForgetPerson(t.Context(), "52998224725")
		assert.Error(t, err)
		assert.NotErrorIs(t, err, pix.ErrInvalidDocument)
		assert.NotContains(t, err.Error(), "52998224725")
	})
}

func TestWorkersAndThoseWhoForgetDoNotHinderEachOther(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		store := openStore(t, s, db)
		inbox := store.Inbox()
		const events, deliverers, workers = 400, 2, 2
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var delivering, working, forgetting sync.WaitGroup
		for d := range deliverers {
			delivering.Go(func() {
				for n := range events / deliverers {
					event := item(fmt.Sprint("event-", d, "-", n))
					event.Transaction, event.Body = fmt.Sprint("CASHIN/", d, "-", n), fmt.Appendf(nil, `{"document":"52998224725","n":%d}`, n)
					_, err := inbox.Put(ctx, event)
					assert.NoError(t, err)
				}
			})
		}
		ended := make(chan struct{})
		var mu sync.Mutex
		applied := map[string]int{}
		for range workers {
			working.Go(func() {
				for ctx.Err() == nil {
					claims, err := inbox.Claim(ctx, time.Minute, 20)
					if !assert.NoError(t, err) {
						return
					}
					for _, claim := range claims {
						assert.Contains(t, string(claim.Body), "52998224725", "it is not done")
						if !assert.NoError(t, inbox.Complete(ctx, claim, done)) {
							return
						}
						mu.Lock()
						applied[claim.Key]++
						all := len(applied) == events
						mu.Unlock()
						if all {
							close(ended)
						}
					}
					select {
					case <-ended:
						return
					default:
					}
				}
			})
		}
		var erased int64
		for _, forget := range []func() (int64, error){
			func() (int64, error) {
				forgotten, err := store.ForgetPerson(ctx, "52998224725")
				return forgotten.Erased, err
			},
			func() (int64, error) {
				forgotten, err := store.ForgetPerson(ctx, "52998224725")
				return forgotten.Erased, err
			},
			func() (int64, error) { return inbox.Forget(ctx, time.Now()) },
		} {
			forgetting.Go(func() {
				for last := false; ; {
					n, err := forget()
					assert.NoError(t, err)
					mu.Lock()
					erased += n
					mu.Unlock()
					if last || ctx.Err() != nil {
						return
					}
					select {
					case <-ended:
						last = true
					default:
					}
				}
			})
		}
		delivering.Wait()
		working.Wait()
		forgetting.Wait()
		require.NoError(t, ctx.Err())
		assert.Len(t, applied, events)
		for key, times := range applied {
			assert.Equal(t, 1, times, key)
		}
		assert.EqualValues(t, events, erased, "each is counted once")
		assert.Zero(t, number(t, db, `SELECT count(*) FROM connectpsp_event WHERE body IS NOT NULL`))
	})
}

// The pragma of the package's documentation.
func TestSecureDeleteLeavesNothingOfAPersonInTheFileOfSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "test.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=secure_delete(1)&_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	defer func() { assert.NoError(t, db.Close()) }()
	store := openStore(t, servers[1], db)
	const document = "52998224725"
	for n := range 200 {
		body := fmt.Appendf(nil, `{"document":%q,"n":%d,"more":%q}`, document, n, strings.Repeat("more ", n*20))
		digest := sha256.Sum256(body)
		execute(t, db, `INSERT INTO connectpsp_event (key, body, body_sha256, received_at) VALUES ($1, $2, $3, 1)`, fmt.Sprint(n), body, digest[:])
	}
	stored := func() (all []byte) {
		var busy, pages, moved int
		require.NoError(t, db.QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved))
		require.Zero(t, busy)
		files, err := filepath.Glob(file + "*")
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all = append(all, text...)
		}
		return all
	}
	require.Contains(t, string(stored()), document)
	forgotten, err := store.ForgetPerson(t.Context(), document)
	require.NoError(t, err)
	require.EqualValues(t, 200, forgotten.Erased)
	assert.False(t, bytes.Contains(stored(), []byte(document)))
}

// From 2026 on the ISPB of this bank and the year are a CPF: in each of its end-to-end ids.
func TestDigitsOfADocumentInsideOfAnIDAreNotThatPerson(t *testing.T) {
	onServers(t, func(t *testing.T, s server, db *sql.DB) {
		w := newWallet(t, s, db)
		for i, document := range []string{"12345678909", "52998224725", "11144477735"} {
			body := fmt.Sprintf(`{"eventType":"CASHIN_PAID","eventAt":"2026-11-27T11:22:18Z","data":{"transactionId":"charge%d","externalReference":"o-%d",`+
				`"endToEndId":"E00360305202611271122abcdefghij%d","status":"PAID","amount":10.00,"payer":{"name":"Test","document":%q}}}`, i, i, i, document)
			require.NoError(t, w.gateway.SendWebhook(w.url, []byte(body)))
		}
		w.deliver()
		w.work()
		forgotten, err := w.store.ForgetPerson(t.Context(), "003.603.052-02")
		require.NoError(t, err)
		assert.Equal(t, sqlstore.Forgotten{}, forgotten)
	})
}
