package server

import "context"

// A source signals, without content, that something changed.
type source struct {
	topics    []string
	subscribe func() (<-chan struct{}, func())
}

// changes merges the signals of several sources into topics. Every topic comes once at the start. A topic that nobody has taken
// yet is not sent twice.
func changes(sources []source) (<-chan string, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan string)
	type signal struct{ topics []string }
	in := make(chan signal)
	ended := make(chan struct{}, len(sources))
	for _, s := range sources {
		changed, stop := s.subscribe()
		go func() {
			defer func() { stop(); ended <- struct{}{} }()
			for {
				select {
				case <-ctx.Done():
					return
				case _, ok := <-changed:
					if !ok {
						return
					}
				}
				select {
				case <-ctx.Done():
					return
				case in <- signal{s.topics}:
				}
			}
		}()
	}
	go func() {
		defer close(out)
		var due []string
		add := func(topics []string) {
			for _, t := range topics {
				found := false
				for _, d := range due {
					found = found || d == t
				}
				if !found {
					due = append(due, t)
				}
			}
		}
		for _, s := range sources {
			add(s.topics)
		}
		for {
			var to chan string
			var next string
			if len(due) > 0 {
				to, next = out, due[0]
			}
			select {
			case <-ctx.Done():
				for range sources {
					<-ended
				}
				return
			case s := <-in:
				add(s.topics)
			case to <- next:
				due = due[1:]
			}
		}
	}()
	return out, cancel
}
