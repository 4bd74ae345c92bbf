package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/outwork-build/outwork/internal/fault"
)

// What a service's folder holds is for its user and administrators, although below C:\ProgramData all may read.
func TestTheFolderOfAServiceIsPrivate(t *testing.T) {
	s := Spec{Name: "a", Root: filepath.Join(t.TempDir(), "new"), Program: os.Args[0], Env: map[string]string{"OUTWORK_URL": "http://x", "OUTWORK_TOKEN": "owj_x"}}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the folder there
		if err := s.place(); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{s.Root, filepath.Join(s.Root, "bin"), s.secrets()} {
			sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
			if err != nil {
				t.Fatal(err)
			}
			for _, everyone := range []string{";;;WD)", ";;;AU)", ";;;BU)"} {
				if strings.Contains(sd.String(), everyone) {
					t.Errorf("%s: %s", path, sd)
				}
			}
		}
	}
	s.User = `.\nobody-of-this-name`
	if err := s.place(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "--user") {
		t.Errorf("%v", err)
	}
}
