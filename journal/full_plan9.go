package journal

// isFull returns false: the text of the error differs between Plan 9's file servers.
func isFull(error) bool { return false }
