package pipeline

// Idle reports that no pipeline is being evaluated.
func (r *Runner) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.running) == 0
}
