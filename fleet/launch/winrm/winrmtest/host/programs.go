package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// programs stand in for those of Windows.
var programs = map[string]func(args []string) error{"certutil": certutil, "findstr": findstr, "curl": curl}

func certutil(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "-hashfile" && args[2] == "SHA256":
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		fmt.Printf("SHA256 hash of %s:\r\n%x\r\nCertUtil: -hashfile command completed successfully.\r\n", args[1], h.Sum(nil))
		return nil
	case len(args) == 4 && args[0] == "-f" && args[1] == "-decode":
		b, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		data, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\r", "", "\n", "").Replace(string(b)))
		if err != nil {
			return err
		}
		return os.WriteFile(args[3], data, 0o600)
	}
	return fmt.Errorf("%q is not known", args)
}

// findstr knows "^", which finds every line, and words of which one must be there.
func findstr(args []string) error {
	in := os.Stdin
	if len(args) == 2 {
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	} else if len(args) != 1 {
		return fmt.Errorf("%q is not known", args)
	}
	words := strings.Fields(args[0])
	found := false
	for lines := bufio.NewScanner(in); lines.Scan(); {
		for _, w := range words {
			if w == "^" || strings.Contains(lines.Text(), w) {
				found = true
				fmt.Print(strings.TrimRight(lines.Text(), "\r"), "\r\n")
				break
			}
		}
	}
	if !found {
		os.Exit(1)
	}
	return nil
}

// curl takes -fsSk --connect-timeout SECONDS -o FILE URL.
func curl(args []string) error {
	if len(args) != 6 || args[0] != "-fsSk" || args[1] != "--connect-timeout" || args[3] != "-o" {
		return fmt.Errorf("%q is not known", args)
	}
	resp, err := http.Get(args[5])
	if err != nil {
		fmt.Fprintln(os.Stderr, "curl: (7)", err)
		os.Exit(7)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		fmt.Fprintln(os.Stderr, "curl: (22) The requested URL returned error:", resp.StatusCode)
		os.Exit(22)
	}
	if args[4] == "NUL" {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	f, err := os.Create(args[4])
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	if err = errors.Join(err, f.Close()); err != nil {
		fmt.Fprintln(os.Stderr, "curl: (23) Failure writing output to destination:", err)
		os.Exit(23)
	}
	return nil
}
