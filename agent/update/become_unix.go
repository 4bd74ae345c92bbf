//go:build unix

package update

import (
	"context"
	"fmt"
	"syscall"
)

// Become makes this process the new program, with the same arguments and the same process id. It returns only an error.
func (u *Updater) Become(context.Context) (code int, err error) {
	return 0, fmt.Errorf("become %s: %w", u.file, syscall.Exec(u.file, u.cfg.Argv, environ()))
}
