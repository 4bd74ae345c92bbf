package pipeline

// Idle reports that no pipeline is being evaluated.
func (r *Runner) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.running) == 0
}

// Parked is how many runs are not in memory.
func (r *Runner) Parked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// InMemory is how many runs are in memory, quiet or not, and how many of them are counted as doing something.
func (r *Runner) InMemory() (all, active int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.running {
		if u.at.place == loaded {
			all++
		}
	}
	return all, r.active
}

// Disturb parks every run that can be, or calls every parked run back though nothing happened.
func (r *Runner) Disturb(park bool) {
	r.mu.Lock()
	var asleep []*run
	for _, u := range r.running {
		if u.at.place == parked {
			asleep = append(asleep, u)
		}
	}
	for e := r.quiet.Front(); park && e != nil; e = r.quiet.Front() {
		r.park(e.Value.(*run))
	}
	r.mu.Unlock()
	for _, u := range asleep {
		if !park {
			r.wake(u)
		}
	}
}
