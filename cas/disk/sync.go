package disk

import "sync"

// dirSync syncs folders, many callers at once: those that come while a sync runs share the next one.
type dirSync struct {
	mu   sync.Mutex
	next *round

	running sync.Mutex // held while a round's folders are synced
}

type round struct {
	dirs map[string]bool
	done chan struct{}
	err  error
}

// sync returns when what was done in dir before the call is on the disk.
func (s *dirSync) sync(dir string) error {
	s.mu.Lock()
	r, leads := s.next, false
	if r == nil {
		r, leads = &round{dirs: map[string]bool{}, done: make(chan struct{})}, true
		s.next = r
	}
	r.dirs[dir] = true
	s.mu.Unlock()
	if leads {
		s.running.Lock()
		s.mu.Lock()
		s.next = nil
		s.mu.Unlock()
		for d := range r.dirs {
			if err := syncDir(d); err != nil && r.err == nil {
				r.err = err
			}
		}
		s.running.Unlock()
		close(r.done)
	}
	<-r.done
	return r.err
}
