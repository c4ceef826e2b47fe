package webhook

// NewSmallMemoryInbox is NewMemoryInbox with another limit.
func NewSmallMemoryInbox(limit int) *MemoryInbox {
	m := NewMemoryInbox()
	m.limit = limit
	return m
}
