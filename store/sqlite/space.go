package sqlite

import "github.com/outwork-build/outwork/internal/fault"

const (
	// New work is refused when less than this is left of the disk, or less than a part of it when the disk is small.
	reserveBytes = 64 << 20
	reservePart  = 20 // a twentieth
)

// Admit implements store.Engine. It looks each time: that is one system call of a microsecond.
func (l *Ledger) Admit() error {
	free, total, err := diskSpace(l.dir)
	if err != nil {
		return nil // who cannot look finds out by writing
	}
	if reserve := min(reserveBytes, total/reservePart); free < reserve {
		return fault.New(fault.Exhausted, "the disk of the data folder %s is nearly full: %d KiB are free, new work needs %d: make room",
			l.dir, free>>10, reserve>>10)
	}
	return nil
}
