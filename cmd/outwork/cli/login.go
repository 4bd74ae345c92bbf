package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/api/client"
	"github.com/outwork-build/outwork/internal/durable"
	"github.com/outwork-build/outwork/internal/fault"
)

// logins is the file that keeps logins, readable by its owner only.
type logins struct {
	Current string            `json:"current"` // address of the last login
	Tokens  map[string]string `json:"tokens"`  // by address
}

func (e *env) loginsFile() (string, error) {
	if e.config != "" {
		return e.config, nil
	}
	if f := e.getenv("OUTWORK_CONFIG"); f != "" {
		return f, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where to keep logins: %w (name a file with --config-file)", err)
	}
	return filepath.Join(dir, "outwork", "logins.json"), nil
}

func (e *env) readLogins() (logins, string, error) {
	l := logins{Tokens: map[string]string{}}
	file, err := e.loginsFile()
	if err != nil {
		return l, "", err
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, file, nil
	}
	if err != nil {
		return l, file, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, file, fault.New(fault.Invalid, "%s: %w (delete the file and log in again)", file, err)
	}
	if l.Tokens == nil {
		l.Tokens = map[string]string{}
	}
	return l, file, nil
}

func writeLogins(file string, l logins) error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(file, append(b, '\n'))
}

// target decides which controller is meant, and with which token.
func (e *env) target() (address, token string, err error) {
	l, _, err := e.readLogins()
	if err != nil {
		return "", "", err
	}
	address = first(e.url, e.getenv("OUTWORK_URL"), l.Current)
	if address == "" {
		return "", "", fault.New(fault.Unauthenticated, "no controller: log in with outwork login --url ADDRESS, or set OUTWORK_URL and OUTWORK_TOKEN")
	}
	address = strings.TrimRight(address, "/")
	token, err = secret(first(e.token, e.getenv("OUTWORK_TOKEN"), l.Tokens[address]))
	return address, token, err
}

func first(s ...string) string {
	for _, x := range s {
		if x != "" {
			return x
		}
	}
	return ""
}

// secret resolves @FILE on this side; a controller never sees the file's name.
func secret(s string) (string, error) {
	file, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fault.New(fault.Invalid, "token file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (e *env) loginCmd() *cobra.Command {
	var user string
	var stdin bool
	c := &cobra.Command{
		Use: "login", Short: "Log in to a controller and remember it",
		Long: "Log in with a user's password, or keep a token made elsewhere. The password is asked for on the terminal, or read\n" +
			"from standard input with --password-stdin. The token is kept in a file that only you can read.",
		Example: "  outwork login --url http://127.0.0.1:8080 --user admin\n  echo \"$PASSWORD\" | outwork login --url https://ci.example.org --user ci --password-stdin\n" +
			"  outwork login --url https://ci.example.org --token @token.txt",
		Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			l, file, err := e.readLogins()
			if err != nil {
				return err
			}
			address := strings.TrimRight(first(e.url, e.getenv("OUTWORK_URL"), l.Current), "/")
			if address == "" {
				return errUsage{errors.New("expected the controller's address: --url http://HOST:PORT")}
			}
			token, err := secret(e.token)
			if err != nil {
				return err
			}
			if token == "" {
				if token, err = e.passwordLogin(c, address, user, stdin); err != nil {
					return err
				}
			}
			cl, err := client.New(address, token, nil)
			if err != nil {
				return err
			}
			me, err := cl.WhoAmI(c.Context())
			if err != nil {
				return err
			}
			l.Current, l.Tokens[address] = address, token
			if err := writeLogins(file, l); err != nil {
				return fmt.Errorf("keep the login: %w", err)
			}
			return e.show(me, func(w *tabwriter.Writer) { fmt.Fprintf(w, "Logged in to %s as %s.\n", address, me.User) })
		},
	}
	c.Flags().StringVarP(&user, "user", "u", "admin", "user name")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return c
}

func (e *env) passwordLogin(c *cobra.Command, address, user string, stdin bool) (string, error) {
	cl, err := client.New(address, "", nil)
	if err != nil {
		return "", err
	}
	password, err := e.password(stdin, "Password of "+user+": ")
	if err != nil {
		return "", err
	}
	host, _ := os.Hostname()
	t, err := cl.Login(c.Context(), api.Login{User: user, Password: password, Name: "outwork login on " + host})
	return t.Secret, err
}

// password reads one line: from the terminal without echo, or from standard input.
func (e *env) password(stdin bool, prompt string) (string, error) {
	if f, ok := e.in.(*os.File); ok && !stdin && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(e.err, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(e.err)
		return string(b), err
	}
	if !stdin {
		return "", errUsage{errors.New("standard input is no terminal: give the password with --password-stdin")}
	}
	line, err := bufio.NewReader(e.in).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errUsage{fmt.Errorf("expected a password on standard input: %v", err)}
	}
	return line, nil
}

func (e *env) logoutCmd() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the login and forget it", Example: "  outwork logout", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			l, file, err := e.readLogins()
			if err != nil {
				return err
			}
			cl, err := e.client()
			if err != nil {
				return err
			}
			err = cl.Logout(c.Context())
			if err != nil && !fault.Is(err, fault.Unauthenticated) {
				return err
			}
			delete(l.Tokens, cl.Address())
			if l.Current == cl.Address() {
				l.Current = ""
			}
			if err := writeLogins(file, l); err != nil {
				return err
			}
			e.say("Logged out of %s.", cl.Address())
			return nil
		},
	}
}

func (e *env) whoamiCmd() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show the controller and the user that verbs use", Example: "  outwork whoami --json", Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.client()
			if err != nil {
				return err
			}
			t, err := cl.WhoAmI(c.Context())
			if err != nil {
				return err
			}
			return e.show(t, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "%s at %s (%s)\n", t.User, cl.Address(), strings.Join(t.Scopes, ", "))
			})
		},
	}
}
