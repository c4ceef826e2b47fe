package contract

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Changes lists the differences between two descriptions, by their effect on traffic.
func Changes(older, newer *API) Report {
	c := &history{}
	c.servers(older.Servers, newer.Servers)
	before, now := byName(older.Operations), byName(newer.Operations)
	for _, name := range sortedKeys(before, now) {
		was, had := before[name]
		is, has := now[name]
		switch {
		case !has:
			c.add(Breaking, was.Method+" "+was.Path, "it is gone")
		case !had:
			c.add(Additive, is.Method+" "+is.Path, "it is new")
		default:
			c.operation(is.Method+" "+is.Path, was, is)
		}
	}
	for _, name := range sortedKeys(older.Events, newer.Events) {
		was, is := older.Events[name], newer.Events[name]
		switch where := "event " + name; {
		case is == nil:
			c.add(Breaking, where, "it is gone")
		case was == nil:
			c.add(Additive, where, "it is new")
		default:
			c.body(where, was, is, received)
		}
	}
	for _, pointer := range sortedKeys(older.ForeignPatterns, newer.ForeignPatterns) {
		switch was, is := older.ForeignPatterns[pointer], newer.ForeignPatterns[pointer]; {
		case was == is:
		case is == "":
			c.add(Otherwise, pointer, "the pattern `%s`, which Go cannot compile, is gone", was)
		default:
			c.add(Otherwise, pointer, "Go cannot compile the pattern `%s`, so no contract test checks it", is)
		}
	}
	if older.Title != newer.Title || older.Words != newer.Words {
		c.add(Otherwise, whole, "its words differ")
	}
	return NewReport("The description", older.Version, newer.Version, c.changes())
}

// whole is the place of a change that belongs to no operation.
const whole = "the whole API"

func byName(operations []Operation) map[string]Operation {
	all := map[string]Operation{}
	for _, operation := range operations {
		all[operation.Name()] = operation
	}
	return all
}

func sortedKeys[V any](all ...map[string]V) (names []string) {
	for _, one := range all {
		names = slices.AppendSeq(names, maps.Keys(one))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// history collects changes.
type history struct{ collector }

func (c *history) servers(older, newer []string) {
	for _, server := range older {
		if !slices.Contains(newer, server) {
			c.add(Breaking, whole, "the server %s is gone: see the addresses in connectpsp/config.go, or set Config.BaseURL", server)
		}
	}
	for _, server := range newer {
		if !slices.Contains(older, server) {
			c.add(Additive, whole, "the server %s is new", server)
		}
	}
}

func (c *history) operation(where string, older, newer Operation) {
	if !slices.Equal(older.Security, newer.Security) {
		l := Additive // every earlier credential is still enough
		if !newer.Public && !slices.Equal(common(older.Security, newer.Security), older.Security) {
			l = Breaking
		}
		c.add(l, where, "it is secured by %s, and was by %s", list(newer.Security), list(older.Security))
	}
	if !slices.Equal(older.Servers, newer.Servers) {
		c.add(Breaking, where, "servers of its own: %s; there was %s", list(newer.Servers), list(older.Servers))
	}
	for _, name := range sortedKeys(older.Parameters, newer.Parameters) {
		was, had := older.Parameters[name]
		is, has := newer.Parameters[name]
		switch {
		case !has:
			c.add(Otherwise, where, "the %s parameter is gone", name)
		case !had && is.Required:
			c.add(Breaking, where, "the %s parameter is new and required", name)
		case !had:
			c.add(Additive, where, "the %s parameter is new", name)
		default:
			c.member(where, "the "+name+" parameter", was, is, sent)
			if was.Words != is.Words {
				c.add(Otherwise, where, "words about its parameters differ")
			}
		}
	}
	c.bodies(where+" request", older.Request, newer.Request, sent)
	c.media(where+" request", older.Media["request"], newer.Media["request"], sent)
	c.responses(where, older, newer)
	if older.ID != newer.ID || older.Path != newer.Path {
		c.add(Otherwise, where, "gen has other names for it and its parameters")
	}
	for _, about := range sortedKeys(older.Words) {
		if is, found := newer.Words[about]; found && is != older.Words[about] {
			c.add(Otherwise, where, "its words differ")
		}
	}
}

func (c *history) responses(where string, older, newer Operation) {
	for _, status := range sortedKeys(older.Responses, newer.Responses) {
		_, had := older.Responses[status]
		_, has := newer.Responses[status]
		switch isSuccess := strings.HasPrefix(status, "2"); {
		case had && has && !isSuccess:
			c.bodies("refusals", older.Responses[status], newer.Responses[status], received)
			c.response(where, status, older, newer)
		case had && has:
			c.response(where, status, older, newer)
			c.bodies(where+" response", older.Responses[status], newer.Responses[status], received)
		case has && isSuccess:
			c.add(Additive, where, "it may be answered with %s; the SDK takes any 2xx", status)
		case had && isSuccess:
			c.add(Otherwise, where, "it is no longer answered with %s; the SDK takes any 2xx", status)
		case has:
			c.add(Otherwise, where, "it may be refused with %s", status)
		default:
			c.add(Otherwise, where, "it no longer says that it may be refused with %s", status)
		}
	}
	if !slices.Equal(successes(older), successes(newer)) {
		c.bodies(where+" response", older.Response("2"), newer.Response("2"), received)
	}
}

// response compares responses of one status, except their JSON.
func (c *history) response(where, status string, older, newer Operation) {
	where += " " + status
	c.media(where, older.Media[status], newer.Media[status], received)
	for _, name := range sortedKeys(older.Headers[status], newer.Headers[status]) {
		was, had := older.Headers[status][name]
		is, has := newer.Headers[status][name]
		switch {
		case !had:
			c.add(Additive, where, "it has the header %s now", name)
		case !has:
			c.add(Otherwise, where, "it no longer has the header %s; the SDK depends on none", name)
		default:
			c.member(where, "the header "+name, was, is, received)
			if was.Words != is.Words {
				c.add(Otherwise, where, "words about its headers differ")
			}
		}
	}
}

// media compares the media types of a body. The SDK reads any JSON of a response, which bodies
// compares.
func (c *history) media(where string, older, newer map[string]string, d direction) {
	for _, name := range sortedKeys(older, newer) {
		was, had := older[name]
		is, has := newer[name]
		l := Otherwise
		if d == sent {
			l = Breaking
		}
		switch {
		case !had:
			c.add(Additive, where, "it may be %s", name)
		case !has:
			c.add(l, where, "it may no longer be %s", name)
		case was != is:
			c.add(l, where, "%s is written in another way", name)
		}
	}
}

func successes(operation Operation) []string {
	return slices.DeleteFunc(sortedKeys(operation.Responses), func(status string) bool { return !strings.HasPrefix(status, "2") })
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// direction is the direction of a body.
type direction bool

const (
	sent     direction = true  // by the SDK
	received direction = false // from the gateway
)

func (c *history) bodies(where string, older, newer Body, d direction) {
	switch {
	case older == nil && newer == nil:
	case newer == nil && (d == sent || strings.HasSuffix(where, " response")):
		c.add(Breaking, where, "it has no JSON any more")
	case newer == nil:
		c.add(Otherwise, where, "no JSON is declared for some of them")
	case older == nil && d == sent && newer[""].Required:
		c.add(Breaking, where, "it has JSON now, which is required")
	case older == nil:
		c.add(Additive, where, "it has JSON now")
	default:
		c.body(where, older, newer, d)
	}
}

func (c *history) body(where string, older, newer Body, d direction) {
	wordy := false
	for _, path := range sortedKeys(older, newer) {
		was, had := older[path]
		is, has := newer[path]
		name := "`" + path + "`"
		if path == "" {
			name = "the body"
		}
		switch {
		case had && has:
			c.member(where, name, was, is, d)
			wordy = wordy || was.Words != is.Words
		case isBelow(path, older, newer):
			// The object around it is new or gone, and is reported.
		case !has && d == sent:
			c.add(Breaking, where, "%s is no longer read", name)
		case !has:
			c.add(Breaking, where, "%s is gone: its field would be empty", name)
		case d == sent && is.Required:
			c.add(Breaking, where, "%s is new and required", name)
		default:
			c.add(Additive, where, "%s is new%s", name, asked(path, is))
		}
	}
	if wordy {
		c.add(Otherwise, where, "words about its members differ")
	}
}

// isBelow reports whether the object around a member is missing too, on the side that lacks the
// member.
func isBelow(path string, older, newer Body) bool {
	if path == "" {
		return false
	}
	holder := parentOf(path)
	_, had := older[holder]
	_, has := newer[holder]
	return had != has
}

// asked returns a question about a number that may not be an amount of money.
func asked(path string, member Member) string {
	if member.Type != "number" || SoundsLikeMoney(path) {
		return ""
	}
	return ". It is a number: is it money? gen reads every number as a pix.Amount, with two decimals at most"
}

// member compares one value.
func (c *history) member(where, name string, older, newer Member, d direction) {
	if older.Type != newer.Type {
		l := Breaking
		meaning := ""
		switch {
		case older.Type == "number" && newer.Type == "integer":
			meaning = ": if it counts centavos now, R$ 10.50 would pass for R$ 1,050.00"
		case d == sent && within(older.Type, newer.Type), d == received && within(newer.Type, older.Type):
			l = Otherwise
		}
		c.add(l, where, "%s is of type %s, and was %s%s", name, kindIn(newer), kindIn(older), meaning)
	}
	switch {
	case older.Required == newer.Required:
	case newer.Required && d == sent:
		c.add(Breaking, where, "%s is now required", name)
	case newer.Required:
		c.add(Otherwise, where, "%s is now required, so always there; the SDK does not depend on that", name)
	default:
		c.add(Otherwise, where, "%s is no longer required; the SDK does not depend on that", name)
	}
	if older.Nullable != newer.Nullable {
		c.add(Otherwise, where, "%s may be null in one of the two; the SDK reads null as nothing, and sends none", name)
	}
	c.values(where, name, older.Enum, newer.Enum, d)
	for _, rule := range sortedKeys(older.Rules, newer.Rules) {
		was, had := older.Rules[rule]
		is, has := newer.Rules[rule]
		if was == is {
			continue
		}
		l := Otherwise
		if d == sent && narrows(rule, was, is, had, has) || d == received && isOtherTime(rule, was, has) {
			l = Breaking
		}
		switch {
		case !had:
			c.add(l, where, "%s has %s %s now", name, rule, is)
		case !has:
			c.add(l, where, "%s has no %s any more; it was %s", name, rule, was)
		default:
			c.add(l, where, "%s has %s %s, and had %s", name, rule, is, was)
		}
	}
}

// within reports whether every type of one is a type of the other. Every integer is a number.
func within(one, other string) bool {
	if other == "" {
		return true
	}
	allowed := strings.Split(other, "|")
	for kind := range strings.SplitSeq(one, "|") {
		if !slices.Contains(allowed, kind) && !(kind == "integer" && slices.Contains(allowed, "number")) {
			return false
		}
	}
	return true
}

func kindIn(member Member) string {
	if member.Type == "" {
		return "any"
	}
	return member.Type
}

// narrows reports whether a changed rule of a request refuses requests that were accepted before,
// or gives them another meaning.
func narrows(rule, was, is string, had, has bool) bool {
	var before, now float64
	_, errBefore := fmt.Sscan(was, &before)
	_, errNow := fmt.Sscan(is, &now)
	switch {
	case rule == "default":
		return had // a new rule states what the gateway has always done
	case !has || rule == "additionalProperties": // the SDK sends no others
		return false
	case !had || errBefore != nil || errNow != nil:
		return true
	case strings.HasPrefix(strings.ToLower(strings.TrimPrefix(rule, "exclusive")), "min"):
		return now > before
	case strings.HasPrefix(strings.ToLower(strings.TrimPrefix(rule, "exclusive")), "max"):
		return now < before
	default:
		return true
	}
}

// isOtherTime reports whether a received time has become something else, so that pix.Time would be
// zero. A time that only lost its format still counts as a time.
func isOtherTime(rule, was string, has bool) bool {
	return rule == "format" && was == `"date-time"` && has
}

func (c *history) values(where, name string, older, newer []string, d direction) {
	switch {
	case older == nil && newer == nil:
		return
	case older == nil:
		l := Otherwise
		if d == sent {
			l = Breaking
		}
		c.add(l, where, "%s may only be %s now", name, strings.Join(newer, ", "))
		return
	case newer == nil:
		c.add(Additive, where, "%s may be anything now; it was one of %s", name, strings.Join(older, ", "))
		return
	}
	for _, value := range newer {
		if !slices.Contains(older, value) {
			c.add(Additive, where, "%s may be %s", name, value)
		}
	}
	for _, value := range older {
		if slices.Contains(newer, value) {
			continue
		}
		if d == sent {
			c.add(Breaking, where, "%s may no longer be %s", name, value)
		} else {
			c.add(Otherwise, where, "%s is no longer %s", name, value)
		}
	}
}
