package connectpsp

// NewMemoryJournal returns the journal of a client without one.
func NewMemoryJournal() Journal { return new(memoryJournal) }
