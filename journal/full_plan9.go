package journal

// isFull recognises nothing: Plan 9 has a text for each file server.
func isFull(error) bool { return false }
