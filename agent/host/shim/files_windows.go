package shim

import (
	"os"

	"golang.org/x/sys/windows"

	"github.com/outwork-build/outwork/internal/privacy"
)

// makeFleeting makes a private file that the system removes when its handle closes, however this process ends. Others may read it.
func makeFleeting(path string) (*os.File, error) {
	sd, err := privacy.Descriptor("")
	if err != nil {
		return nil, err
	}
	return createFile(path, windows.GENERIC_WRITE|windows.DELETE, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, privacy.Attributes(sd),
		windows.CREATE_NEW, windows.FILE_FLAG_DELETE_ON_CLOSE)
}

// OpenShared opens a file that is there, for reading and, when so wanted, writing. It can be removed while it is open, which os.Open
// forbids here.
func OpenShared(path string, write bool) (*os.File, error) {
	access := uint32(windows.GENERIC_READ)
	if write {
		access |= windows.GENERIC_WRITE
	}
	return createFile(path, access, sharing, nil, windows.OPEN_EXISTING, 0)
}

// makeShared makes such a file, which is not there.
func makeShared(path string) (*os.File, error) {
	return createFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, sharing, nil, windows.CREATE_NEW, 0)
}

const sharing = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

func createFile(path string, access, share uint32, sa *windows.SecurityAttributes, how, flags uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(privacy.Long(path))
	var h windows.Handle
	if err == nil {
		h, err = windows.CreateFile(name, access, share, sa, how, windows.FILE_ATTRIBUTE_NORMAL|flags, 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
