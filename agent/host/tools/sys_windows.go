package tools

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// point makes a link lead to a folder, in place of what it led to before. A link cannot be replaced here: for a moment there is none.
// Without the right to make symbolic links a junction is made, which anybody may.
func point(link, target string) error {
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		return err
	}
	if os.Symlink(target, link) == nil {
		return nil
	}
	if out, err := exec.Command("cmd", "/c", "mklink", "/J", link, target).CombinedOutput(); err != nil {
		return fmt.Errorf("make a junction from %s to %s: %w: %s", link, target, err, out)
	}
	return nil
}

// touchLink leaves the times of links: nothing reads them here.
func touchLink(string, time.Time) error { return nil }

// syncFolder leaves it to the system: folders cannot be synced here.
func syncFolder(string) error { return nil }
