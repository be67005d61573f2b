package relay

// Posted is how many tasks wait for the loop.
func (l *Loop) Posted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.posted)
}
