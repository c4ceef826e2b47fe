package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/google/uuid"

	"github.com/connectpsp/connectpsp-go/auth"
	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/contract"
	"github.com/connectpsp/connectpsp-go/pix"
)

// survey is one run through the operations.
type survey struct {
	out      *redactingWriter
	client   *connectpsp.Client
	another  *connectpsp.Client // a client with a journal of its own, which can give a payment a second key
	unknown  *connectpsp.Client // a client whose ApplicationToken the gateway does not know
	findings *findings
	name     string // begins every externalReference of this run
}

func newSurvey(config connectpsp.Config, description string, found *findings, out *redactingWriter) (*survey, error) {
	checker, err := contract.Open(description, found.breach)
	if err != nil {
		return nil, err
	}
	transport := observing{checker.Transport(http.DefaultTransport.(*http.Transport).Clone()), checker, found, out}
	options := []connectpsp.Option{
		connectpsp.WithHTTPClient(&http.Client{Transport: transport}),
		connectpsp.WithRetryPolicy(connectpsp.RetryPolicy{MaxAttempts: 1}), // every response counts, also the first
		connectpsp.WithLogger(slog.New(slog.DiscardHandler)),               // the survey reports failures itself
	}
	s := &survey{out: out, findings: found, name: "contract-" + uuid.NewString()[:8]}
	if s.client, err = connectpsp.New(config, options...); err != nil {
		return nil, err
	}
	if s.another, err = connectpsp.New(config, options...); err != nil {
		return nil, err
	}
	config.ApplicationToken = unknownToken()
	s.unknown, err = connectpsp.New(config, options...)
	return s, err
}

// drive calls the operations, and those that move money only if there is a payee. The error says
// that a step failed that later steps need.
func (s *survey) drive(ctx context.Context, payee *connectpsp.Payee) error {
	balance, err := s.client.GetBalance(ctx)
	if err := s.step("read the balance", err); err != nil {
		return err
	}
	if err := s.charges(ctx); err != nil {
		return err
	}
	_, err = s.client.GetCashIn(ctx, s.name+"-nobody")
	s.refused("read a charge that does not exist", err, http.StatusNotFound)
	_, err = s.client.GetCashOut(ctx, uuid.NewString())
	s.refused("read a payment that does not exist", err, http.StatusNotFound)
	_, err = s.unknown.GetBalance(ctx)
	s.refused("use an unknown ApplicationToken", err, http.StatusUnauthorized)
	if payee == nil {
		fmt.Fprintln(s.out, "Left out, because they move money: createCashOut, rebalanceAccount. -move-money (MOVE_MONEY=1) drives them.")
		return nil
	}
	return s.money(ctx, payee, balance.Consolidated.TransactionalBalance)
}

// charges creates a charge that stays unpaid, and tries the operations on it.
func (s *survey) charges(ctx context.Context) error {
	request := connectpsp.CashInRequest{
		Amount:              pix.Centavos(100),
		ExternalReference:   s.name + "-in",
		ExpirationInMinutes: 5,
		Payer:               connectpsp.Payer{Name: "Contract Test", Document: "12345678909"},
	}
	charge, err := s.client.CreateCashIn(ctx, request)
	if err := s.step("create a charge", err); err != nil {
		return err
	}
	again, err := s.client.CreateCashIn(ctx, request)
	if err == nil && again.TransactionID != charge.TransactionID {
		err = errors.New("it was another charge")
	}
	if err := s.step("repeat it under the same key", err); err != nil {
		return err
	}
	again, err = s.another.CreateCashIn(ctx, request, connectpsp.WithIdempotencyKey(uuid.NewString()))
	switch {
	case err == nil && again.TransactionID == charge.TransactionID:
		s.findings.observe("a charge with another key and the same externalReference: the first is answered")
	case err == nil:
		s.findings.observe("a charge with another key and the same externalReference: a second one is created")
	default:
		s.findings.observe("a charge with another key and the same externalReference: %s", refusal(err))
	}
	for what, id := range map[string]string{"transactionId": charge.TransactionID, "internalCode": charge.InternalCode} {
		if id == "" {
			continue
		}
		_, err := s.client.GetCashIn(ctx, id)
		if err := s.step("read the charge by its "+what, err); err != nil {
			return err
		}
	}
	_, err = s.client.RefundCashIn(ctx, charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundMerchantError})
	s.refused("refund a charge that is not paid", err, http.StatusUnprocessableEntity)
	return nil
}

// money calls the operations that move money: it pays a centavo to the payee, and sets the balance
// to its present value.
func (s *survey) money(ctx context.Context, payee *connectpsp.Payee, transactional pix.Amount) error {
	request := connectpsp.CashOutRequest{Amount: pix.Centavos(1), ExternalReference: s.name + "-out", Payee: *payee}
	payment, err := s.client.CreateCashOut(ctx, request)
	if err := s.step("pay a centavo", err); err != nil {
		return err
	}
	_, err = s.another.CreateCashOut(ctx, request, connectpsp.WithIdempotencyKey(uuid.NewString()))
	s.refused("pay with another key and the same externalReference", err, http.StatusConflict)
	_, err = s.client.GetCashOut(ctx, payment.TransactionID)
	if err := s.step("read the payment", err); err != nil {
		return err
	}
	_, err = s.client.RebalanceAccount(ctx, transactional)
	return s.step("set the balance to what it was", err)
}

// step records a step that must succeed.
func (s *survey) step(what string, err error) error {
	if err != nil {
		return fmt.Errorf("could not %s: %w", what, err)
	}
	fmt.Fprintf(s.out, "✓ %s\n", what)
	return nil
}

// refused records a step that must be refused, and the refusal.
func (s *survey) refused(what string, err error, status int) {
	var response *connectpsp.APIError
	if errors.As(err, &response) && response.StatusCode == status {
		fmt.Fprintf(s.out, "✓ %s: %s\n", what, refusal(err))
		return
	}
	s.findings.breach(fmt.Errorf("%s: %s, where %d is published", what, refusal(err), status))
}

// refusal describes how a call ended, without the gateway's own words, which may name a person.
func refusal(err error) string {
	var response *connectpsp.APIError
	switch {
	case err == nil:
		return "it was accepted"
	case errors.As(err, &response) && response.StatusCode != 0:
		return fmt.Sprintf("%d %s", response.StatusCode, named(string(response.Code)))
	default:
		return err.Error()
	}
}

// unknownToken is an ApplicationToken that no gateway has issued.
func unknownToken() auth.Secret { return auth.NewSecret(uuid.NewString()) }
