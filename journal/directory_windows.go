package journal

// ignoreUnsupported drops the error of the fsync of a directory, which Windows does not have.
func ignoreUnsupported(error) error { return nil }
