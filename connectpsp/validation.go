package connectpsp

import "strings"

// ValidationError says that a field of a request or of the configuration is not acceptable. Nothing
// was sent, not even a request for a token, and no money moved: correct the field and call again.
//
// Where several fields are wrong the error is a ValidationErrors, in which errors.As finds the
// first.
type ValidationError struct {
	// Field is the path of the field in the description's names, such as
	// "payee.destination.pixKey", or the name of an option or of a Config field.
	Field string
	// Reason states the requirement. It never repeats the value.
	Reason string
}

func (e *ValidationError) Error() string {
	return "connectpsp: nothing was sent: " + e.Field + ": " + e.Reason
}

// Is reports whether target is ErrNotSent.
func (e *ValidationError) Is(target error) bool { return target == ErrNotSent }

// ValidationErrors holds every fault of a request that has more than one.
type ValidationErrors []*ValidationError

func (e ValidationErrors) Error() string {
	faults := make([]string, len(e))
	for i, fault := range e {
		faults[i] = fault.Field + ": " + fault.Reason
	}
	return "connectpsp: nothing was sent: " + strings.Join(faults, "; ")
}

// Unwrap returns the faults one by one.
func (e ValidationErrors) Unwrap() []error {
	faults := make([]error, len(e))
	for i, fault := range e {
		faults[i] = fault
	}
	return faults
}

// faults collects the faults of a request.
type faults []*ValidationError

func (f *faults) add(field, reason string) {
	*f = append(*f, &ValidationError{Field: field, Reason: reason})
}

func (f faults) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0]
	default:
		return ValidationErrors(f)
	}
}
