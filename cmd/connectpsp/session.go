package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/journal"
)

// newClient returns a client. What it would log, the command reports.
func (a *app) newClient(g gateway, options ...connectpsp.Option) (*connectpsp.Client, error) {
	options = append(slices.Concat(options, g.options()), connectpsp.WithLogger(slog.New(slog.DiscardHandler)), connectpsp.WithRetryPolicy(a.retry),
		connectpsp.WithUserAgent("connectpsp-cli/"+connectpsp.Version))
	client, err := connectpsp.New(g.config, options...)
	if err != nil {
		return nil, badConfig(err)
	}
	return client, nil
}

// reader returns a client for commands that move no money.
func (a *app) reader() (*connectpsp.Client, error) {
	g, err := a.gateway()
	if err != nil {
		return nil, err
	}
	return a.newClient(g)
}

// journalFlags say which journal a command uses.
type journalFlags struct {
	file      string
	database  bool
	namespace string
	opened    string // what open has opened, for people
}

func (j *journalFlags) add(command *cobra.Command) {
	command.Flags().StringVar(&j.file, "journal", "", "the journal of payments, a `FILE` (default: CONNECTPSP_JOURNAL, or a file for each integration)")
}

// addDatabase adds the journal that the processes of a service share. Commands that pay do not have
// it: they would recover payments of the service, and its books would not hear of the outcome.
func (j *journalFlags) addDatabase(command *cobra.Command) {
	command.Flags().BoolVar(&j.database, "database", false, "use the journal of a service, in DATABASE_URL")
	addNamespace(command, &j.namespace)
}

// open opens the journal, sets opened, and creates the file if create is set. The caller closes it.
func (j *journalFlags) open(ctx context.Context, a *app, identity func() (gateway, error), create bool) (connectpsp.Journal, func() error, error) {
	if j.database {
		if j.file != "" {
			return nil, nil, usage("--journal and --database name two journals: give one")
		}
		store, db, err := a.openStore(ctx, j.namespace)
		if err != nil {
			return nil, nil, err
		}
		j.opened = joined("DATABASE_URL", j.namespace)
		return store.Journal(), db.Close, nil
	}
	source, path := "--journal", j.file
	if path == "" {
		source, path = "CONNECTPSP_JOURNAL", a.variable("CONNECTPSP_JOURNAL")
	}
	if path == "" {
		g, err := identity()
		if err != nil {
			return nil, nil, err
		}
		if path, err = a.defaultJournal(g); err != nil {
			return nil, nil, err
		}
		if create {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, nil, err
			}
		}
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, nil, usage("%s: %s is a directory: name a file", source, path)
	case err != nil && !create && a.variable("DATABASE_URL") != "":
		return nil, nil, usage("%s: there is no journal (%v): name the file that payments were made with, "+
			"or give --database to read the journal of a service, in DATABASE_URL", source, err)
	case err != nil && !create:
		return nil, nil, usage("%s: there is no journal (%v): name the file that payments were made with", source, err)
	}
	file, err := journal.Open(path)
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return nil, nil, usage("%s: the journal cannot be used (%v): name another file, or mend this one's directory and mode", source, failed)
	} else if err != nil {
		return nil, nil, err
	}
	j.opened = path
	return file, file.Close, nil
}

// defaultJournal returns the path of the journal of an integration at a gateway. Each has a file of
// its own, because a journal belongs to one of them at a time.
func (a *app) defaultJournal(g gateway) (string, error) {
	directory := a.variable("XDG_STATE_HOME")
	if home := a.variable("HOME"); directory == "" && home != "" {
		directory = filepath.Join(home, ".local", "state")
	}
	directory = cmp.Or(directory, a.variable("LOCALAPPDATA"))
	if directory == "" {
		return "", usage("there is no home directory for the journal: set CONNECTPSP_JOURNAL or give --journal")
	}
	identity := sha256.Sum256([]byte(g.identity))
	return filepath.Join(directory, "connectpsp", fmt.Sprintf("%s-%x.journal", g.kind, identity[:6])), nil
}

// session is a client with a journal whose open payments were settled as far as possible.
type session struct {
	*connectpsp.Client
	journal  connectpsp.Journal
	task     task
	all      []connectpsp.Recovered // all that Recover has reported
	settled  []recovered            // those that an earlier command had left open
	closeAll func() error
}

// recovered is a payment that an earlier command left open, as JSON.
type recovered struct {
	Operation         string `json:"operation"`
	ExternalReference string `json:"externalReference,omitzero"`
	ChargeID          string `json:"chargeId,omitzero"`
	TransactionID     string `json:"transactionId,omitzero"`
	Outcome           string `json:"outcome"`
	Error             string `json:"error,omitzero"`
	Resolve           string `json:"resolve,omitzero"` // the command that settles an unknown outcome
}

// task is the payment that a command opens a session for.
type task struct {
	intent  connectpsp.Intent // its operation, its reference or charge, and its amount if that is known
	words   []string          // the command that settles it
	settles bool              // the command reports it itself if an earlier one left it open
}

// openSession opens the journal, makes the client and recovers. It reports on stderr each payment
// that an earlier command left open, but one that the command itself settles. Its error says that
// this command sent no payment of its own: it is an [openError] if an earlier one has left the same
// payment open.
func (a *app) openSession(ctx context.Context, g gateway, flags *journalFlags, t task) (*session, error) {
	journal, closeAll, err := flags.open(ctx, a, func() (gateway, error) { return g, nil }, true)
	if err != nil {
		return nil, notBegun(err)
	}
	s := &session{journal: journal, closeAll: closeAll, task: t}
	a.settle = a.commandLine(flags, t.words...)
	if err := s.recover(ctx, a, g, flags); err != nil {
		return nil, errors.Join(err, closeAll())
	}
	return s, nil
}

// recover settles the payments of the journal as far as possible.
func (s *session) recover(ctx context.Context, a *app, g gateway, flags *journalFlags) (err error) {
	if s.Client, err = a.newClient(g, connectpsp.WithJournal(s.journal)); err != nil {
		return err
	}
	pending, err := s.journal.Pending(ctx)
	if err != nil {
		return notBegun(err)
	}
	open := map[string]connectpsp.Intent{}
	for _, intent := range pending {
		open[intent.IdempotencyKey] = intent
	}
	s.all, err = s.Recover(ctx)
	switch {
	case err != nil && slices.ContainsFunc(pending, s.mayBeOwn):
		return &openError{fmt.Errorf("an earlier command may have made this payment, and this one was stopped before it knew: %w", err), a.settle, false}
	case err != nil:
		return notBegun(err)
	}
	for _, one := range s.all {
		if intent, found := open[one.IdempotencyKey]; found && !(s.task.settles && s.isOwn(intent)) {
			s.report(a, flags, intent, one)
		}
	}
	return nil
}

// isOwn reports whether a payment of the journal is that of the command.
func (s *session) isOwn(intent connectpsp.Intent) bool {
	return intent.Payment() == s.task.intent.Payment()
}

// mayBeOwn is isOwn, and true for each refund if the command refunds: a charge has several ids.
func (s *session) mayBeOwn(intent connectpsp.Intent) bool {
	return s.isOwn(intent) || intent.Operation == connectpsp.OperationRefundCashIn && intent.Operation == s.task.intent.Operation
}

// report reports a payment that an earlier command left open, and the command that settles it if it
// is open still.
func (s *session) report(a *app, flags *journalFlags, intent connectpsp.Intent, one connectpsp.Recovered) {
	_, outcome := classify(one.Err)
	found := recovered{one.Operation, one.ExternalReference, one.ChargeID, one.TransactionID, outcome, "", ""}
	text := "accepted, transaction " + one.TransactionID
	var open *openError
	if one.Err != nil {
		text = inShell(one.Err.Error())
		found.Error = oneLine(text)
		if errors.As(a.unsettled(one.Err, flags, wordsFor(intent)...), &open) {
			found.Resolve = open.command
			text = "still unknown, the money may have moved"
		}
	}
	s.settled = append(s.settled, found)
	a.say("left open by an earlier command: %s: %s", joined(one.Operation, cmp.Or(one.ExternalReference, one.ChargeID), amountOf(one.Amount)), text)
	if open != nil {
		a.sayCommand(open)
	}
}

// wordsFor are the command that settles a payment of the journal.
func wordsFor(intent connectpsp.Intent) []string {
	switch intent.Operation {
	case connectpsp.OperationRefundCashIn:
		return refundWords(intent)
	case connectpsp.OperationCreateCashIn:
		return charges.resolveWords(intent.ExternalReference)
	default:
		return payments.resolveWords(intent.ExternalReference)
	}
}

// find returns what Recover has reported last about the payment of the command, nil if nothing.
func (s *session) find() (found *connectpsp.Recovered) {
	payment := s.task.intent
	for i, one := range s.all {
		if one.Operation == payment.Operation && one.ExternalReference == payment.ExternalReference && one.ChargeID == payment.ChargeID {
			found = &s.all[i]
		}
	}
	return found
}

// errDiffers says that a payment was made before, and not as it is asked for now.
var errDiffers = errors.New("the payment was made before, with another request")

// accepted returns the payment of the command if an earlier one has made it, and nil otherwise. If
// it was made with another amount or request, the error is errDiffers.
func (s *session) accepted(ctx context.Context, request any) (*connectpsp.Recovered, error) {
	made := s.find()
	if made == nil || made.Err != nil {
		return nil, nil
	}
	earlier, err := s.journal.Find(ctx, s.task.intent)
	if err != nil {
		return nil, notBegun(err)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if earlier != nil && (earlier.Amount != s.task.intent.Amount ||
		earlier.BodySHA256 != "" && earlier.BodySHA256 != fmt.Sprintf("%x", sha256.Sum256(body))) {
		return made, errDiffers
	}
	return made, nil
}

// close closes the journal. The outcome of the payment stands whether that works or not.
func (s *session) close(a *app) {
	if err := s.closeAll(); err != nil {
		a.say("the journal: %v", err)
	}
}

// notBegun says that a command ended before its own payment. It does not say that nothing was sent,
// because an earlier command may have.
func notBegun(err error) error {
	if errors.As(err, new(*usageError)) {
		return err
	}
	return fmt.Errorf("this command sent no payment; whether an earlier one did is not known: %w", err)
}

// commandLine returns a command of this program with the flags that select the same gateway and
// journal, as a line for a shell.
func (a *app) commandLine(flags *journalFlags, words ...string) string {
	if a.production {
		words = append(words, "--production")
	}
	if a.private {
		words = append(words, "--private-network")
	}
	if a.envFile != "" {
		words = append(words, "--env-file", a.envFile)
	}
	if flags.file != "" {
		words = append(words, "--journal", flags.file)
	}
	line := "connectpsp"
	for _, word := range words {
		line += " " + quote(word)
	}
	return line
}

// replayWindow is for how long [connectpsp.Client.Recover] sends a payment again.
const replayWindow = 20 * time.Minute

// unsettled adds to an unknown outcome the command that settles it or, once the payment is not sent
// again, the command that ends it by hand.
func (a *app) unsettled(err error, flags *journalFlags, words ...string) error {
	var unknown *connectpsp.UnknownOutcomeError
	switch {
	case !errors.Is(err, connectpsp.ErrUnknownOutcome):
		return err
	case errors.As(err, &unknown) && unknown.IdempotencyKey != "" && !unknown.FirstSentAt.IsZero() &&
		time.Since(unknown.FirstSentAt) > replayWindow:
		return &openError{err, a.commandLine(flags, "journal", "finish", unknown.IdempotencyKey, "--outcome", "accepted"), true}
	default:
		return &openError{err, a.commandLine(flags, words...), false}
	}
}
