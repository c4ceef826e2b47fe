package observe

import (
	"context"
	"reflect"
)

// Own is embedded in the types of the SDK's own context keys. An observer's context never changes
// their values.
type Own struct{}

func (Own) own() {}

// insideKey marks the contexts that observers get. Its value is the mark of one call.
type insideKey struct{ Own }

type mark struct{ _ byte }

func markInside(ctx context.Context) context.Context {
	return context.WithValue(ctx, insideKey{}, new(mark))
}

// derivedFrom returns the context that an observer has returned, nil if that has nothing to add to
// the context that it was given, or is not derived from it: one that was kept from another activity
// would bring the values of that one.
func derivedFrom(given, returned context.Context) context.Context {
	if returned == nil || returned == given || returned.Value(insideKey{}) != given.Value(insideKey{}) {
		return nil
	}
	return returned
}

// valued has the values of a context that an observer has returned, and the end, the deadline and
// the SDK's own values of the activity's: an observer cannot take a payment's time away, or give it
// more.
type valued struct {
	context.Context
	values context.Context
}

// Value returns the value of the observer's context.
func (v *valued) Value(key any) (value any) {
	switch key.(type) {
	case interface{ own() }, *int: // context.Cause and WithCancel look an *int up (cancelCtxKey in context.go)
		return v.Context.Value(key)
	}
	defer func() {
		if recover() != nil { // it is the user's code
			value = v.Context.Value(key)
		}
	}()
	return v.values.Value(key)
}

// Detach returns a context with the values of ctx, and neither its end nor its hooks of package
// httptrace: those belong to one caller, and the request that follows is for many.
func Detach(ctx context.Context) context.Context { return detached{context.WithoutCancel(ctx)} }

type detached struct{ context.Context }

func (d detached) Value(key any) any {
	if kind := reflect.TypeOf(key); kind != nil {
		switch kind.PkgPath() {
		case "net/http/httptrace", "internal/nettrace": // clientEventContextKey, TraceKey
			return nil
		}
	}
	return d.Context.Value(key)
}
