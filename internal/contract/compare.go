package contract

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Traffic is an operation as the SDK has it.
type Traffic struct {
	// Operation is the method and the path, "POST /cash-in".
	Operation string

	// Public, Signed and Keyed are as in [Operation].
	Public, Signed, Keyed bool

	// Request and Response are values of the types of the bodies, nil if there is none.
	Request, Response any

	// Problem is a value of the type of a refusal's body.
	Problem any
}

// Webhook is the body of events about a kind of transaction as the SDK has it.
type Webhook struct {
	// About is "cash-in" or "cash-out".
	About string

	// Types are the event types that the SDK knows.
	Types []string

	// Body is a value of the type of the body.
	Body any
}

// Compare compares operations and events of the SDK with the description, each field both ways. A
// contradiction on the wire fails t; the rest is logged.
func Compare(t testing.TB, traffic []Traffic, webhooks []Webhook) {
	t.Helper()
	directory, err := root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(directory, "openapi", "connectpsp.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	api, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := ReadFacts(filepath.Join(directory, "openapi", "SOURCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	changes, err := Differences(api, facts, traffic, webhooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		if change.Level == Breaking {
			t.Errorf("breaks: %s: %s", change.Where, change.Text)
		} else {
			t.Logf("news: %s: %s", change.Where, change.Text)
		}
	}
}

// Differences lists the differences between the SDK and a description. A contradiction on the wire
// is [Breaking]. Anything that only one of the two has, or that was only assumed, is [Additive].
// The error comes from reading the SDK's types.
func Differences(api *API, facts Facts, traffic []Traffic, webhooks []Webhook) ([]Change, error) {
	c := &comparison{facts: facts}
	for _, ours := range traffic {
		theirs, err := api.Operation(ours.Operation)
		if err != nil {
			c.breaks(ours.Operation, "the description lacks it: the SDK sends it all the same")
			continue
		}
		c.operation(ours, theirs)
	}
	for _, ours := range webhooks {
		c.webhook(ours, api)
	}
	c.others(traffic, webhooks, api)
	return c.changes(), c.fault
}

// comparison collects the differences between the SDK and a description.
type comparison struct {
	collector
	facts Facts
	fault error
}

func (c *comparison) breaks(where, format string, arguments ...any) {
	c.add(Breaking, where, format, arguments...)
}

func (c *comparison) news(where, format string, arguments ...any) {
	c.add(Additive, where, format, arguments...)
}

func (c *comparison) body(value any) Body {
	body, err := ownBody(value)
	if err != nil {
		c.fault = err
	}
	return body
}

func (c *comparison) operation(ours Traffic, theirs Operation) {
	c.headers(ours, theirs)
	if ours.Request != nil {
		if theirs.Request == nil {
			c.news(ours.Operation+" request", "the description has no JSON body for it")
		} else {
			c.members(ours.Operation+" request", c.body(ours.Request), theirs.Request)
		}
	}
	switch response := theirs.Response("2"); {
	case ours.Response == nil:
	case response == nil:
		c.news(ours.Operation+" response", "the description has no JSON body for it")
	default:
		c.members(ours.Operation+" response", c.body(ours.Response), response)
	}
	if ours.Problem != nil {
		if problem := theirs.Response("4"); problem != nil {
			c.members("problem", c.body(ours.Problem), problem)
		}
	}
}

func (c *comparison) headers(ours Traffic, theirs Operation) {
	where := ours.Operation
	switch {
	case ours.Public && !theirs.Public:
		c.breaks(where, "it needs an access token, and the SDK sends none: it would be refused with 401")
	case theirs.Public && !ours.Public:
		c.news(where, "it needs no access token by the description; the SDK sends one all the same")
	}
	for _, header := range []struct {
		name         string
		ours, theirs bool
	}{
		{"DigitalSignature", ours.Signed, theirs.Signed},
		{"X-Idempotency-Key", ours.Keyed, theirs.Keyed},
	} {
		switch {
		case header.ours && !header.theirs:
			c.news(where, "the description does not declare the header %s; the SDK sends it all the same, as the provider's guide says",
				header.name)
		case header.theirs && !header.ours:
			declared := theirs.Parameters["header "+canonicalHeader(header.name)]
			if declared.Required {
				c.breaks(where, "it needs the header %s, and the SDK sends none: it would be refused", header.name)
			} else {
				c.news(where, "it takes the header %s; the SDK sends none", header.name)
			}
		}
	}
	known := []string{"header Applicationtoken", "header Digitalsignature", "header X-Idempotency-Key"}
	for _, name := range slices.Sorted(maps.Keys(theirs.Parameters)) {
		if slices.Contains(known, name) || strings.HasPrefix(name, "path ") {
			continue
		}
		if theirs.Parameters[name].Required {
			c.breaks(where, "the %s parameter is required, and the SDK does not send it: it would be refused", name)
		} else if name != "query date" { // published, and not available
			c.news(where, "it takes the %s parameter; the SDK does not send it", name)
		}
	}
}

func (c *comparison) webhook(ours Webhook, api *API) {
	where := "event about a " + ours.About
	var theirs Body
	for _, name := range ours.Types {
		if theirs == nil {
			theirs = api.Events[name]
		}
	}
	if theirs == nil {
		c.news(where, "the description has no event about it")
		return
	}
	c.members(where, c.body(ours.Body), theirs)
	for _, name := range ours.Types {
		if api.Events[name] == nil {
			c.news(where, "the description has no event %s", name)
		}
	}
}

// others lists the operations and events that the description has and the SDK has not.
func (c *comparison) others(traffic []Traffic, webhooks []Webhook, api *API) {
	for _, operation := range api.Operations {
		if !slices.ContainsFunc(traffic, func(ours Traffic) bool { return Anonymous(ours.Operation) == operation.Name() }) {
			c.news(operation.Method+" "+operation.Path, "the SDK has no method for it; see CONTRIBUTING.md")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(api.Events)) {
		if !slices.ContainsFunc(webhooks, func(ours Webhook) bool { return slices.Contains(ours.Types, name) }) {
			c.news("event "+name, "the SDK has no constant for it; it passes it on as an event of an unknown type")
		}
	}
}

// members compares two bodies, each member both ways.
func (c *comparison) members(where string, ours, theirs Body) {
	sent := strings.HasSuffix(where, " request")
	if inside := wrapping(ours, theirs); inside != "" {
		c.breaks(where, "its members are inside of `%s`: every field of the SDK would be empty", inside)
		return
	}
	for _, path := range slices.Sorted(maps.Keys(ours)) {
		member, described := ours[path], Member{}
		if path != "" {
			var found bool
			if described, found = theirs[path]; !found {
				c.missingThere(where, path, ours, theirs, sent)
				continue
			}
		} else {
			described = theirs[""]
		}
		c.kind(where, path, member, described, sent)
		c.values(where, path, member, described, sent)
		if sent && described.Required && !member.Required && path != "" {
			c.news(where, "`%s` is required; the SDK leaves it out when %s is empty, and the gateway may refuse that", path, member.Go)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(theirs)) {
		if _, known := ours[path]; !known {
			c.missingHere(where, path, ours, theirs, sent)
		}
	}
}

// wrapping returns the member that contains all members of ours, empty if they are at their place.
func wrapping(ours, theirs Body) string {
	var top []string
	for path := range ours {
		if path != "" && !strings.ContainsAny(path, ".[") {
			if _, found := theirs[path]; found {
				return ""
			}
			top = append(top, path)
		}
	}
	most, inside := 0, ""
	for _, holder := range slices.Sorted(maps.Keys(theirs)) {
		if holder == "" {
			continue
		}
		count := 0
		for _, name := range top {
			if _, found := theirs[holder+"."+name]; found {
				count++
			}
		}
		if count > most {
			most, inside = count, holder
		}
	}
	return inside
}

// missingThere reports a field of ours that the description lacks.
func (c *comparison) missingThere(where, path string, ours, theirs Body, sent bool) {
	if _, found := theirs[parentOf(path)]; !found {
		return // the object around it is missing, and is reported
	}
	name := ours[path].Go
	if moved := elsewhere(path, ours, theirs); moved != "" {
		if sent {
			c.breaks(where, "`%s` is now `%s`: the gateway would not find what the SDK sends as %s", path, moved, name)
		} else {
			c.breaks(where, "`%s` is now `%s`: %s would always be empty", path, moved, name)
		}
		return
	}
	switch sure := c.facts.sure(where, path); {
	case sure == "published" && sent:
		c.breaks(where, "the description lacks `%s`, which is published: the gateway may not read %s", path, name)
	case sure == "published":
		c.breaks(where, "the description lacks `%s`, which is published: %s would be empty", path, name)
	default:
		c.news(where, "the description lacks `%s`, which was only %s: %s may always be empty", path, sure, name)
	}
}

func parentOf(path string) string {
	if strings.HasSuffix(path, "[]") || strings.HasSuffix(path, "{}") {
		return path[:len(path)-2]
	}
	i := strings.LastIndex(path, ".")
	if i < 0 {
		return ""
	}
	return path[:i]
}

func lastOf(path string) string { return path[strings.LastIndex(path, ".")+1:] }

// elsewhere returns the new place of a member of ours: a member with its name that the SDK lacks.
func elsewhere(path string, ours, theirs Body) string {
	for _, other := range slices.Sorted(maps.Keys(theirs)) {
		if _, known := ours[other]; !known && lastOf(other) == lastOf(path) && theirs[other].Type == ours[path].Type {
			return other
		}
	}
	return ""
}

// missingHere reports a member that the SDK lacks.
func (c *comparison) missingHere(where, path string, ours, theirs Body, sent bool) {
	holder, known := ours[parentOf(path)]
	if !known || strings.HasSuffix(path, "[]") {
		return // the object around it is missing or not a list, and is reported
	}
	if strings.HasSuffix(path, "{}") {
		c.news(where, "it has members of any name, `%s`; the SDK has those it knows", path)
		return
	}
	described := theirs[path]
	if sent && described.Required {
		c.breaks(where, "`%s` is required, and the SDK does not send it: it would be refused. %s", path, lineFor(holder.Owner, path, described))
		return
	}
	question := ""
	if (described.Type == "number" || theirs[path+"[]"].Type == "number") && !SoundsLikeMoney(path) {
		question = " Is it an amount of money? If not it needs another type."
	}
	c.news(where, "the SDK lacks `%s`. %s%s", path, lineFor(holder.Owner, path, described), question)
}

// SoundsLikeMoney reports whether a number is an amount by its name.
func SoundsLikeMoney(path string) bool {
	name := strings.ToLower(lastOf(path))
	return slices.ContainsFunc([]string{"amount", "balance", "total", "fee", "value", "price", "cost", "limit"}, func(word string) bool {
		return strings.Contains(name, word) && !strings.Contains(name, "rate") && !strings.Contains(name, "percent")
	})
}

// kind compares JSON types.
func (c *comparison) kind(where, path string, ours, theirs Member, sent bool) {
	kinds := strings.Split(theirs.Type, "|")
	if theirs.Type == "" || slices.Contains(kinds, ours.Type) || ours.Type == "integer" && slices.Contains(kinds, "number") {
		return
	}
	name := ours.Go
	if path == "" {
		c.breaks(where, "it is of type %s, and the SDK has an %s", theirs.Type, ours.Type)
		return
	}
	verb := "reads"
	if sent {
		verb = "sends"
	}
	switch ours.Type + " " + theirs.Type {
	case "number integer":
		c.breaks(where, "`%s` is an integer: if it counts centavos, R$ 10.50 would pass for R$ 1,050.00 (%s). The SDK %s reais", path, name, verb)
	case "number string":
		c.breaks(where, "`%s` is a text: the SDK %s amounts as numbers (%s)", path, verb, name)
	case "string integer", "string number":
		c.breaks(where, "`%s` is a number: the SDK %s a text (%s), and a number would be lost", path, verb, name)
	default:
		c.breaks(where, "`%s` is of type %s: the SDK %s %s (%s)", path, theirs.Type, verb, ours.Type, name)
	}
}

// values compares the values of an enum.
func (c *comparison) values(where, path string, ours, theirs Member, sent bool) {
	if ours.Enum == nil || theirs.Enum == nil {
		return
	}
	for _, value := range theirs.Enum {
		if !slices.Contains(ours.Enum, value) {
			c.news(where, "`%s` may be %s. %s", path, value, constantFor(ours, value))
		}
	}
	for _, value := range ours.Enum {
		switch {
		case slices.Contains(theirs.Enum, value):
		case sent:
			c.breaks(where, "`%s` may not be %s, which %s offers: it would be refused", path, value, ours.Owner)
		default:
			c.news(where, "`%s` is never %s by the description; the SDK has a constant for it", path, value)
		}
	}
}

// lineFor returns the field to add for a member.
func lineFor(owner, path string, member Member) string {
	if owner == "" {
		return ""
	}
	name := strings.TrimSuffix(lastOf(path), "[]")
	kind := map[string]string{"number": "pix.Amount", "integer": "int", "boolean": "bool", "array": "[]…", "object": "*" + goName(name)}[member.Type]
	switch {
	case kind == "" && member.Rules["format"] == `"date-time"`:
		kind = "pix.Time"
	case kind == "":
		kind = "string"
	}
	return fmt.Sprintf("To have it, add to %s: %s %s `json:\"%s,omitzero\"`", owner, goName(name), kind, name)
}

// constantFor returns the constant to add for a value.
func constantFor(member Member, value string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(strings.ToLower(value), "_") {
		name.WriteString(goName(word))
	}
	prefix := strings.TrimSuffix(strings.TrimSuffix(member.Owner, "Status"), "Code")
	return fmt.Sprintf("To have it, add: %s%s %s = %q", prefix, name.String(), member.Owner, value)
}

// goName returns the name of a member as the name of a Go field.
func goName(name string) string {
	if name == "" {
		return ""
	}
	for _, initialism := range []string{"Id", "Url", "Pix", "Qr", "Ispb", "Cpf", "Cnpj"} {
		first, size := utf8.DecodeRuneInString(name)
		name = strings.ReplaceAll(string(unicode.ToUpper(first))+name[size:], initialism, strings.ToUpper(initialism))
	}
	return name
}
