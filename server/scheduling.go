package server

import (
	"context"

	"github.com/outwork-build/outwork/queue"
)

// schedule has a policy decide how work is given to nodes: the farm's file's, else that of Config.Scheduling. It does not wait for the queue.
func (s *Server) schedule(file *queue.Policy) {
	p := s.cfg.Scheduling
	if file != nil {
		p = *file
	}
	s.policy.Store(&p)
	select {
	case s.policies <- struct{}{}:
	default:
	}
}

// scheduling tells the queue of policies until ctx ends.
func (s *Server) scheduling(ctx context.Context) error {
	for {
		select {
		case <-s.policies:
		case <-ctx.Done():
			return nil
		}
		if err := s.queue.SetPolicy(ctx, *s.policy.Load()); err != nil && ctx.Err() == nil {
			s.log.Error("the scheduling policy cannot be used: the one before stays", "error", err)
		}
	}
}
