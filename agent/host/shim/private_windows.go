package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// MakePrivate makes a folder that is, with all that will be made in it, for this user, the system and its administrators alone:
// permission bits mean nothing here, and below the top of a disk every user may write. One that is there becomes so.
func MakePrivate(dir string) error {
	sd, err := private("OICI")
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(long(dir))
	if err != nil {
		return err
	}
	err = windows.CreateDirectory(name, attributes(sd))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	if flags, _, err := old.Control(); err != nil || flags&windows.SE_DACL_PROTECTED != 0 {
		return err // it was made so, or someone has said who may enter
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

func attributes(sd *windows.SECURITY_DESCRIPTOR) *windows.SecurityAttributes {
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	return sa
}

// private is the protection that MakePrivate gives. inherit is the flags of its entries.
func private(inherit string) (*windows.SECURITY_DESCRIPTOR, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find out who runs this process: %w", err)
	}
	text := "D:P"
	for _, who := range []string{"SY", "BA", user.User.Sid.String()} {
		text += "(A;" + inherit + ";FA;;;" + who + ")"
	}
	return windows.SecurityDescriptorFromString(text)
}

// makeFleeting makes a private file that the system removes when its handle closes, however this process ends. Others may read it.
func makeFleeting(path string) (*os.File, error) {
	sd, err := private("")
	if err != nil {
		return nil, err
	}
	return createFile(path, windows.GENERIC_WRITE|windows.DELETE, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, attributes(sd),
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
	name, err := windows.UTF16PtrFromString(long(path))
	var h windows.Handle
	if err == nil {
		h, err = windows.CreateFile(name, access, share, sa, how, windows.FILE_ATTRIBUTE_NORMAL|flags, 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// long is an absolute path in the notation that the system's old limit of 260 characters is not for.
func long(path string) string {
	if len(path) < 240 || !filepath.IsAbs(path) || strings.HasPrefix(path, `\\`) {
		return path
	}
	return `\\?\` + filepath.Clean(path)
}
