package privacy

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

// Make makes a folder that is, with all that will be made in it, for this user, the system, its administrators and the users named
// alone. One that is there becomes so, unless someone has said already who may enter. The folders above are made as they come.
func Make(dir string, users ...string) error {
	sd, err := Descriptor("OICI", users...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(Long(dir))
	if err != nil {
		return err
	}
	err = windows.CreateDirectory(name, Attributes(sd))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	if flags, _, err := old.Control(); err != nil || flags&windows.SE_DACL_PROTECTED != 0 {
		return err
	}
	return apply(dir, sd)
}

// Protect makes a file that is there one for this user, the system, its administrators and the users named alone.
func Protect(path string, users ...string) error {
	sd, err := Descriptor("", users...)
	if err != nil {
		return err
	}
	return apply(path, sd)
}

func apply(path string, sd *windows.SECURITY_DESCRIPTOR) error {
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}

// Descriptor is the protection that Make and Protect give. inherit is the flags of its entries, in the system's notation for texts.
func Descriptor(inherit string, users ...string) (*windows.SECURITY_DESCRIPTOR, error) {
	own, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("find out who runs this process: %w", err)
	}
	who := []string{"SY", "BA", own.User.Sid.String()}
	for _, user := range users {
		sid, _, _, err := windows.LookupSID("", strings.TrimPrefix(user, `.\`))
		if err != nil {
			return nil, fmt.Errorf("find user %s: %w", user, err)
		}
		who = append(who, sid.String())
	}
	text := "D:P"
	for _, w := range who {
		text += "(A;" + inherit + ";FA;;;" + w + ")"
	}
	return windows.SecurityDescriptorFromString(text)
}

// Attributes is a descriptor in the form that calls which make things want.
func Attributes(sd *windows.SECURITY_DESCRIPTOR) *windows.SecurityAttributes {
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	return sa
}

// Long is an absolute path in the notation that the system's old limit of 260 characters is not for.
func Long(path string) string {
	if len(path) < 240 || !filepath.IsAbs(path) || strings.HasPrefix(path, `\\`) {
		return path
	}
	return `\\?\` + filepath.Clean(path)
}
