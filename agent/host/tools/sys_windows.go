package tools

import (
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/outwork-build/outwork/internal/durable"
)

// point makes a link lead to a folder, in place of what it led to before. A link cannot be replaced here: for a moment there is none.
// Without the right to make symbolic links a junction is made, which anybody may. On file systems that have neither a file beside
// it says where it leads; nobody but us finds the folder by that.
func point(link, target string) error {
	if err := durable.WriteFile(link+besideSuffix, []byte(target)); err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		return err
	}
	if os.Symlink(target, link) == nil {
		return nil
	}
	_ = exec.Command("cmd", "/c", "mklink", "/J", link, target).Run()
	return nil
}

// follow says where a link of point leads.
func follow(link string) (string, error) {
	if target, err := os.Readlink(link); err == nil {
		return target, nil
	}
	target, err := os.ReadFile(link + besideSuffix)
	return string(target), err
}

// unlink removes a link of point.
func unlink(link string) error {
	return errors.Join(os.Remove(link+besideSuffix), gone(os.Remove(link)))
}

func gone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// touchLink leaves the times of links: nothing reads them here.
func touchLink(string, time.Time) error { return nil }

// syncFolder leaves it to the system: folders cannot be synced here.
func syncFolder(string) error { return nil }
