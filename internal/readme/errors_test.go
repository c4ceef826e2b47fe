package readme

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/connectpsp/connectpsp-go/connectpsp"
	"github.com/connectpsp/connectpsp-go/internal/api"
	"github.com/connectpsp/connectpsp-go/pix"
	"github.com/connectpsp/connectpsp-go/sandbox"
)

// operation says on which operations an error is met.
type operation func(api.Operation) bool

func money(op api.Operation) bool    { return op.Money }
func signed(op api.Operation) bool   { return op.Signed }
func refunds(op api.Operation) bool  { return op.ID == connectpsp.OperationRefundCashIn }
func cashOuts(op api.Operation) bool { return op.ID == connectpsp.OperationCreateCashOut }
func payments(op api.Operation) bool {
	return cashOuts(op) || op.ID == connectpsp.OperationCreateCashIn
}

// encounter is a call of a real client that meets a situation.
type encounter struct {
	gateway  *sandbox.Sandbox
	from     string // the operation that responds
	code     string
	amount   pix.Amount
	options  []connectpsp.Option
	attempts []connectpsp.Attempt
	tokens   int
	mutex    sync.Mutex
}

// situation makes the gateway, the network or the journal do something, however often the client
// tries.
type situation func(e *encounter) error

func refuse(status int) situation {
	return func(e *encounter) error { return refuseAs(status, e.code)(e) }
}

func refuseAs(status int, code string) situation {
	return func(e *encounter) error {
		var err error
		for range 9 {
			err = errors.Join(err, e.gateway.RefuseNext(e.from, status, code))
		}
		return err
	}
}

func fault(fault sandbox.Fault) situation {
	return func(e *encounter) error { return e.gateway.FailEvery(e.from, 1, fault) }
}

func status(code int) situation { return fault(sandbox.Status(code)) }

var tooManyRequests, brokenJSON, otherAnswer, loseAnswer = fault(sandbox.TooManyRequests), fault(sandbox.BrokenJSON), fault(sandbox.OtherAnswer), fault(sandbox.LoseAnswer)

func noConnection(e *encounter) error {
	e.options = append(e.options, connectpsp.WithHTTPClient(&http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		},
	}}))
	return nil
}

func badField(e *encounter) error {
	e.amount = pix.Centavos(0)
	return nil
}

func noJournal(e *encounter) error {
	e.options = append(e.options, connectpsp.WithJournal(brokenJournal{}))
	return nil
}

type brokenJournal struct{ connectpsp.Journal }

func (brokenJournal) Begin(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, errors.New("the disk is full")
}

func (brokenJournal) Find(context.Context, connectpsp.Intent) (*connectpsp.Intent, error) {
	return nil, errors.New("the disk is full")
}

// Begin and End count what the client does.
func (e *encounter) Begin(ctx context.Context, _ any) context.Context { return ctx }

func (e *encounter) End(_ context.Context, activity any) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	switch activity := activity.(type) {
	case connectpsp.Attempt:
		e.attempts = append(e.attempts, activity)
	case connectpsp.TokenRequest:
		e.tokens++
	}
}

// meet makes a call of an operation that meets the situation of an entry, in virtual time.
func meet(t *testing.T, en entry, op string) (outcome, retried words, err error) {
	synctest.Test(t, func(t *testing.T) {
		gateway, failure := sandbox.Start(sandbox.WithMemoryNetwork(), sandbox.WithSeed(1))
		require.NoError(t, failure)
		defer gateway.Close()
		e := &encounter{gateway: gateway, from: cmp.Or(en.from, op), code: string(en.Code), amount: pix.Centavos(10_50)}
		e.options = []connectpsp.Option{
			connectpsp.WithHTTPClient(gateway.HTTPClient()), connectpsp.WithObserver(e), connectpsp.WithLogger(slog.New(slog.DiscardHandler)),
		}
		before, failure := connectpsp.New(gateway.Config(), e.options[0])
		require.NoError(t, failure)
		charge, failure := before.CreateCashIn(t.Context(), cashIn("order-1", e.amount))
		require.NoError(t, failure)
		require.NoError(t, gateway.PayCashIn(charge.TransactionID))
		require.NoError(t, en.provoke(e))
		client, failure := connectpsp.New(gateway.Config(), e.options...)
		require.NoError(t, failure)
		switch op {
		case connectpsp.OperationCreateCashIn:
			_, err = client.CreateCashIn(t.Context(), cashIn("order-2", e.amount))
		case connectpsp.OperationRefundCashIn:
			_, err = client.RefundCashIn(t.Context(), charge.TransactionID, connectpsp.RefundRequest{Reason: connectpsp.RefundCustomerRequest})
		case connectpsp.OperationCreateCashOut:
			_, err = client.CreateCashOut(t.Context(), connectpsp.CashOutRequest{Amount: e.amount, ExternalReference: "withdrawal-1",
				Payee: connectpsp.Payee{Name: "Maria Silva", Document: "12345678909", Destination: connectpsp.ToPIXKey(connectpsp.PIXKeyEmail, "maria@example.com")}})
		case connectpsp.OperationRebalanceAccount:
			_, err = client.RebalanceAccount(t.Context(), e.amount)
		}
		require.Error(t, err)
		outcome, retried = ended(err), e.retried()
	})
	return outcome, retried, err
}

func cashIn(reference string, amount pix.Amount) connectpsp.CashInRequest {
	return connectpsp.CashInRequest{Amount: amount, ExternalReference: reference, Payer: connectpsp.Payer{Name: "Test User", Document: "12345678909"}}
}

// ended says what an error means for the money.
func ended(err error) words {
	switch {
	case errors.Is(err, connectpsp.ErrUnknownOutcome):
		return words{"**unknown**: the money may have moved", "**desconhecido**: o dinheiro pode ter sido movimentado"}
	case errors.Is(err, connectpsp.ErrNotSent):
		return words{"**rejected for certain**: nothing was sent", "**recusado com certeza**: nada foi enviado"}
	default:
		return words{"**rejected for certain**: no money moved", "**recusado com certeza**: nenhum dinheiro foi movimentado"}
	}
}

// retried says how often the client repeated the request by itself.
func (e *encounter) retried() words {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	switch n := max(len(e.attempts), e.tokens); {
	case n > 1 && len(e.attempts) > 1 && e.attempts[1].Reason == connectpsp.RetryToken:
		return words{"once, with a new access token", "uma vez, com um novo token de acesso"}
	case n > 1:
		return words{fmt.Sprintf("yes, the same request in up to %d attempts", n), fmt.Sprintf("sim, a mesma requisição em até %d tentativas", n)}
	default:
		return words{"no", "não"}
	}
}

// observed returns entries with what was observed on each of their operations, which must be the
// same: else the page needs one entry for each.
func observed(t *testing.T, entries []entry) (complete []entry) {
	for _, en := range entries {
		var calls []string
		for _, op := range api.Operations {
			if !en.on(op) {
				continue
			}
			outcome, retried, err := meet(t, en, op.ID)
			if calls == nil {
				en.Outcome, en.Retried = outcome, retried
			}
			if calls == nil || cashOuts(op) {
				en.Text = err.Error()
			}
			assert.Equal(t, []words{en.Outcome, en.Retried}, []words{outcome, retried}, "%s%s on %s", en.Code, en.Title.en, op.ID)
			calls = append(calls, "`"+op.ID+"`")
			refusal := (*connectpsp.APIError)(nil)
			if errors.As(err, &refusal) && en.Code != "" {
				assert.Equal(t, en.Code, refusal.Code)
				byHand := &connectpsp.APIError{Operation: op.ID, StatusCode: refusal.StatusCode, Code: en.Code, Err: refusal.Err}
				assert.Equal(t, outcome, ended(byHand), "made by hand, as in a test")
				en.Response = words{fmt.Sprintf("%d of ", refusal.StatusCode), fmt.Sprintf("%d de ", refusal.StatusCode)}
			}
		}
		list := strings.Join(calls, ", ")
		if en.from != "" {
			list = "`" + en.from + "`"
		}
		en.Response = words{en.Response.en + list, en.Response.pt + list}
		complete = append(complete, en)
	}
	return complete
}

// constant is one of a type of the SDK.
type constant struct {
	name, value, doc, group string // group is the comment of its block
}

// constants returns the exported constants of a type that are declared in a directory, in their
// order.
func constants(t *testing.T, directory, of string) (found []constant) {
	reasons := map[string]string{}
	if of == "ValidationCode" {
		for _, reason := range constants(t, "pix", "Reason") {
			reasons[reason.name] = reason.value
		}
	}
	names, err := fs.Glob(tree, directory+"/*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ParseComments)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			block, ok := declaration.(*ast.GenDecl)
			if !ok || block.Tok != token.CONST {
				continue
			}
			for _, spec := range block.Specs {
				spec := spec.(*ast.ValueSpec)
				one := constant{name: spec.Names[0].Name, doc: spec.Doc.Text(), group: strings.TrimSpace(block.Doc.Text())}
				kind, _ := spec.Type.(*ast.Ident)
				if len(spec.Values) == 1 {
					one.value = literal(spec.Values[0])
					if call, ok := spec.Values[0].(*ast.CallExpr); ok && kind == nil { // ValidationCode(pix.ReasonEmpty)
						kind, _ = call.Fun.(*ast.Ident)
						if reason, ok := call.Args[0].(*ast.SelectorExpr); ok {
							one.value = reasons[reason.Sel.Name]
						}
					}
				}
				if kind != nil && kind.Name == of && ast.IsExported(one.name) {
					found = append(found, one)
				}
			}
		}
	}
	require.NotEmpty(t, found)
	return found
}

// literal returns the text of a string in code, which may be a sum.
func literal(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}

// heldReasons returns the reasons that package webhook gives for holding an item.
func heldReasons(t *testing.T) (reasons []string) {
	names, err := fs.Glob(tree, "webhook/*.go")
	require.NoError(t, err)
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			reason := ""
			switch node := node.(type) {
			case *ast.CompositeLit: // &heldError{"…"}
				if kind, ok := node.Type.(*ast.Ident); ok && kind.Name == "heldError" && len(node.Elts) > 0 {
					reason = literal(node.Elts[0])
				}
			case *ast.AssignStmt: // item.Held = fmt.Sprintf("…", …)
				field, set := node.Lhs[0].(*ast.SelectorExpr)
				if call, ok := node.Rhs[0].(*ast.CallExpr); ok && set && field.Sel.Name == "Held" && len(call.Args) > 0 {
					reason = literal(call.Args[0])
				}
			}
			if reason != "" {
				reasons = append(reasons, reason)
			}
			return true
		})
	}
	return reasons
}

// fieldGroup is a table of the page.
type fieldGroup struct {
	Title, Who words
	Codes      []fieldCode
}

type fieldCode struct{ Code, Meaning, Message string }

var docLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// fieldTables returns the codes of fields, in the blocks of their declaration.
func fieldTables(t *testing.T) (groups []fieldGroup) {
	meanings := map[string]string{}
	for _, reason := range constants(t, "pix", "Reason") {
		meanings[reason.value] = reason.doc
	}
	last := ""
	for _, code := range constants(t, "connectpsp", "ValidationCode") {
		if code.group != last {
			group, ok := fieldGroups[code.group]
			require.True(t, ok, "fieldGroups lacks %q", code.group)
			groups = append(groups, fieldGroup{Title: group.title, Who: group.who})
			last = code.group
		}
		_, meaning, found := strings.Cut(code.doc, " is ")
		require.True(t, found, code.name)
		if strings.HasPrefix(meaning, "[pix.") {
			_, meaning, _ = strings.Cut(meanings[code.value], " is ")
		}
		meaning = docLink.ReplaceAllString(strings.Join(strings.Fields(meaning), " "), "`$1`")
		invalid := connectpsp.ValidationError{Code: connectpsp.ValidationCode(code.value)}
		table := &groups[len(groups)-1]
		table.Codes = append(table.Codes, fieldCode{code.value, meaning, invalid.UserMessage()})
	}
	return groups
}

// errorPages returns the page of errors in both languages, by their paths.
func errorPages(t *testing.T) map[string]string {
	data := map[string]any{"Codes": observed(t, codes), "Others": observed(t, others), "Groups": fieldTables(t), "Recovered": recovered, "Ends": ends, "Held": held}
	written := map[string]string{}
	for name, language := range map[string]func(words) string{
		"errors.tmpl": func(w words) string { return w.en }, "errors.pt-BR.tmpl": func(w words) string { return w.pt },
	} {
		page, err := template.New(name).Funcs(template.FuncMap{
			"say":        language,
			"portuguese": func(reason string) string { return heldInPortuguese[reason] },
			"title":      func(e entry) string { return cmp.Or(string(e.Code), language(e.Title)) },
		}).ParseFiles("templates/" + name)
		require.NoError(t, err)
		var text strings.Builder
		require.NoError(t, page.Execute(&text, data))
		written[map[string]string{"errors.tmpl": "docs/errors.md", "errors.pt-BR.tmpl": "docs/pt-BR/errors.md"}[name]] = wrap(text.String())
	}
	return written
}

// wrap breaks the lines of a page before column 100, but for titles and tables.
func wrap(page string) string {
	var wrapped strings.Builder
	for line := range strings.Lines(strings.TrimSpace(page) + "\n") {
		indent := ""
		if strings.HasPrefix(line, "- ") {
			indent = "  "
		}
		for len([]rune(line)) > 101 && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "#") {
			at := strings.LastIndex(string([]rune(line)[:101]), " ")
			wrapped.WriteString(line[:at] + "\n")
			line = indent + line[at+1:]
		}
		wrapped.WriteString(line)
	}
	return wrapped.String()
}

// codeFaults compares the codes, statuses and reasons of the tables with those of the code.
func codeFaults(t *testing.T, codes []entry) (faults []string) {
	compare := func(what string, inCode, described []string) {
		for _, one := range inCode {
			if !slices.ContainsFunc(described, func(row string) bool { return strings.HasPrefix(one, row) }) {
				faults = append(faults, fmt.Sprintf("the page of errors has no row for the %s %q", what, one))
			}
		}
		for _, row := range described {
			if !slices.ContainsFunc(inCode, func(one string) bool { return strings.HasPrefix(one, row) }) {
				faults = append(faults, fmt.Sprintf("the code has no %s %q any more", what, row))
			}
		}
	}
	var rows, statuses, reasons []string
	for _, entry := range codes {
		rows = append(rows, string(entry.Code))
	}
	for _, end := range ends {
		statuses = append(statuses, string(end.Status))
	}
	for _, row := range held {
		reasons = append(reasons, row.Reason)
		if heldInPortuguese[row.Reason] == "" {
			faults = append(faults, fmt.Sprintf("heldInPortuguese lacks %q", row.Reason))
		}
	}
	values := func(kind string) (values []string) {
		for _, one := range constants(t, "connectpsp", kind) {
			values = append(values, one.value)
		}
		return values
	}
	compare("code", values("ErrorCode"), rows)
	compare("status", values("CashOutStatus"), statuses)
	compare("reason to hold an item", heldReasons(t), reasons)
	return faults
}
