// Package winrmtest is the far side of WS-Management for tests: a server of shells, with basic and NTLM authentication and its encryption,
// which runs what it is told by a Runner: a fake machine, or (see host) the cmd.exe of Wine.
//
// It is written from Microsoft's description of the protocol, apart from the client library that it tests.
package winrmtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Runner runs a command line as cmd.exe /C does and returns its exit code. ctx ends when the command is ended.
type Runner interface {
	Run(ctx context.Context, line string, stdin io.Reader, stdout, stderr io.Writer) int
}

// Config of a Server. Runner, User and Password must be set.
type Config struct {
	Runner           Runner
	User, Password   string
	NoBasic          bool // `winrm set winrm/config/service/auth @{Basic="false"}`, as Windows has it
	NoNegotiate      bool
	AllowUnencrypted bool          // take what neither TLS nor NTLM encrypts
	Slow             time.Duration // how long a request for output is kept open; 0 is OperationTimeout, a minute at most
	// Fault refuses every new shell with a code of Windows and a text; 0 refuses none.
	Fault     int64
	FaultText string
}

// Server is a http.Handler for /wsman. Its http.Server must have ConnContext.
type Server struct {
	cfg Config

	mu     sync.Mutex
	shells map[string]map[string]*command // by ids; guarded by mu
	opened int                            // guarded by mu
	age    int                            // guarded by mu; grows by Forget
}

// New returns a server without shells.
func New(c Config) *Server { return &Server{cfg: c, shells: map[string]map[string]*command{}} }

// Shells returns how many shells are open, and how many were opened.
func (s *Server) Shells() (open, opened int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shells), s.opened
}

// Forget has every connection log in again, as after one was closed and opened anew.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age++
}

func (s *Server) now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.age
}

type connKey struct{}

// ConnContext gives each connection what NTLM needs to remember of it.
func (s *Server) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &peer{})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/wsman" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p := r.Context().Value(connKey{}).(*peer)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case strings.HasPrefix(r.Header.Get("Authorization"), "Negotiate ") && !s.cfg.NoNegotiate:
		s.negotiate(w, r, p)
		return
	case p.session != nil && p.age == s.now():
	case s.basic(r):
		if r.TLS == nil && !s.cfg.AllowUnencrypted {
			s.refuse(w)
			return
		}
	default:
		s.refuse(w)
		return
	}
	sealed := strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/encrypted")
	if sealed {
		if body, err = p.session.open(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	} else if r.TLS == nil && !s.cfg.AllowUnencrypted {
		w.WriteHeader(http.StatusInternalServerError) // as Windows: without a word
		return
	}
	status, answer := s.answer(r.Context(), body)
	if sealed {
		w.Header().Set("Content-Type", sealedType)
		answer = p.session.close(answer)
	} else {
		w.Header().Set("Content-Type", "application/soap+xml;charset=UTF-8")
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (s *Server) basic(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && !s.cfg.NoBasic && strings.EqualFold(user, s.cfg.User) && password == s.cfg.Password
}

func (s *Server) refuse(w http.ResponseWriter) {
	if !s.cfg.NoNegotiate {
		w.Header().Add("Www-Authenticate", "Negotiate")
		w.Header().Add("Www-Authenticate", "Kerberos")
	}
	if !s.cfg.NoBasic {
		w.Header().Add("Www-Authenticate", `Basic realm="WSMAN"`)
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// envelope is a request.
type envelope struct {
	Header struct {
		Action   string `xml:"Action"`
		ID       string `xml:"MessageID"`
		Timeout  string `xml:"OperationTimeout"`
		Max      int    `xml:"MaxEnvelopeSize"`
		Selector string `xml:"SelectorSet>Selector"`
		Options  []struct {
			Name  string `xml:"Name,attr"`
			Value string `xml:",chardata"`
		} `xml:"OptionSet>Option"`
	} `xml:"Header"`
	Body struct {
		Command string `xml:"CommandLine>Command"`
		Stream  struct {
			Command string `xml:"CommandId,attr"`
			End     string `xml:"End,attr"`
			Data    string `xml:",chardata"`
		} `xml:"Send>Stream"`
		Desired struct {
			Command string `xml:"CommandId,attr"`
		} `xml:"Receive>DesiredStream"`
		Signal struct {
			Command string `xml:"CommandId,attr"`
		} `xml:"Signal"`
	} `xml:"Body"`
}

const shellSpace = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"

// answer obeys a request.
func (s *Server) answer(ctx context.Context, body []byte) (int, []byte) {
	var e envelope
	if err := xml.Unmarshal(body, &e); err != nil {
		return fail(e, 2150858790, "the request is no XML: "+err.Error())
	}
	if len(body) > e.Header.Max || e.Header.Max > 512000 {
		return fail(e, 2150858972, "the request is larger than MaxEnvelopeSize")
	}
	switch action := e.Header.Action; action[strings.LastIndexByte(action, '/')+1:] {
	case "Create":
		return s.create(e)
	case "Delete":
		return s.drop(e)
	case "Command":
		return s.start(e)
	case "Send":
		return s.send(e)
	case "Receive":
		return s.receive(ctx, e)
	case "Signal":
		return s.signal(e)
	}
	return fail(e, 2150858750, "action "+e.Header.Action+" is not supported")
}

func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (s *Server) create(e envelope) (int, []byte) {
	if s.cfg.Fault != 0 {
		return fail(e, s.cfg.Fault, s.cfg.FaultText)
	}
	id := newID()
	s.mu.Lock()
	s.shells[id] = map[string]*command{}
	s.opened++
	s.mu.Unlock()
	return reply(e, "http://schemas.xmlsoap.org/ws/2004/09/transfer/CreateResponse", "<rsp:Shell><rsp:ShellId>"+id+"</rsp:ShellId></rsp:Shell>")
}

func (s *Server) drop(e envelope) (int, []byte) {
	s.mu.Lock()
	sh := s.shells[e.Header.Selector]
	delete(s.shells, e.Header.Selector)
	s.mu.Unlock()
	for _, c := range sh {
		c.cancel()
	}
	return reply(e, "http://schemas.xmlsoap.org/ws/2004/09/transfer/DeleteResponse", "")
}

func (s *Server) start(e envelope) (int, []byte) {
	console := ""
	for _, o := range e.Header.Options {
		if o.Name == "WINRS_CONSOLEMODE_STDIN" {
			console = o.Value
		}
	}
	s.mu.Lock()
	sh, ok := s.shells[e.Header.Selector]
	if !ok {
		s.mu.Unlock()
		return fail(e, 2150858843, "the shell was not found on the server")
	}
	id, c := newID(), newCommand(console == "FALSE")
	sh[id] = c
	s.mu.Unlock()
	go c.run(s.cfg.Runner, e.Body.Command)
	return reply(e, shellSpace+"/CommandResponse", "<rsp:CommandResponse><rsp:CommandId>"+id+"</rsp:CommandId></rsp:CommandResponse>")
}

func (s *Server) command(e envelope, id string) *command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shells[e.Header.Selector][id]
}

func (s *Server) send(e envelope) (int, []byte) {
	c := s.command(e, e.Body.Stream.Command)
	if c == nil || c.stdin == nil {
		return fail(e, 2150858843, "there is no command that reads")
	}
	data, err := base64.StdEncoding.DecodeString(e.Body.Stream.Data)
	if err != nil {
		return fail(e, 2150858790, err.Error())
	}
	_, _ = c.stdin.Write(data) // a command that has ended reads nothing
	if e.Body.Stream.End == "true" {
		c.stdin.Close()
	}
	return reply(e, shellSpace+"/SendResponse", "<rsp:SendResponse/>")
}

func (s *Server) signal(e envelope) (int, []byte) {
	if c := s.command(e, e.Body.Signal.Command); c != nil {
		c.cancel()
		s.mu.Lock()
		delete(s.shells[e.Header.Selector], e.Body.Signal.Command)
		s.mu.Unlock()
	}
	return reply(e, shellSpace+"/SignalResponse", "<rsp:SignalResponse/>")
}

func (s *Server) receive(ctx context.Context, e envelope) (int, []byte) {
	id := e.Body.Desired.Command
	c := s.command(e, id)
	if c == nil {
		return fail(e, 2150858843, "there is no such command")
	}
	wait := s.cfg.Slow
	if wait == 0 {
		wait, _ = time.ParseDuration(strings.ToLower(strings.TrimPrefix(e.Header.Timeout, "PT")))
		wait = min(max(wait, time.Second), time.Minute)
	}
	out, errs, done, code, ok := c.await(ctx, wait)
	if !ok {
		return fail(e, 2150858793, "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.")
	}
	var b strings.Builder
	b.WriteString("<rsp:ReceiveResponse>")
	for name, data := range map[string][]byte{"stdout": out, "stderr": errs} {
		if len(data) > 0 {
			fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s">%s</rsp:Stream>`, name, id, base64.StdEncoding.EncodeToString(data))
		}
	}
	state := "Running"
	if done {
		state = "Done"
	}
	fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/%s">`, id, shellSpace, state)
	if done {
		fmt.Fprintf(&b, "<rsp:ExitCode>%d</rsp:ExitCode>", code)
	}
	b.WriteString("</rsp:CommandState></rsp:ReceiveResponse>")
	return reply(e, shellSpace+"/ReceiveResponse", b.String())
}

const openEnvelope = `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="` + shellSpace + `">`

func message(e envelope, action, body string) []byte {
	var b bytes.Buffer
	b.WriteString(openEnvelope + "<s:Header><a:Action>" + action + "</a:Action><a:MessageID>uuid:" + newID() + "</a:MessageID><a:RelatesTo>")
	_ = xml.EscapeText(&b, []byte(e.Header.ID))
	b.WriteString("</a:RelatesTo></s:Header><s:Body>" + body + "</s:Body></s:Envelope>")
	return b.Bytes()
}

func reply(e envelope, action, body string) (int, []byte) {
	return http.StatusOK, message(e, action, body)
}

func fail(e envelope, code int64, text string) (int, []byte) {
	var t bytes.Buffer
	_ = xml.EscapeText(&t, []byte(text))
	return http.StatusInternalServerError, message(e, "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", fmt.Sprintf(
		`<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang="en-US">%s</s:Text></s:Reason>`+
			`<s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%d" Machine="machine"><f:Message>%s</f:Message></f:WSManFault></s:Detail></s:Fault>`,
		t.String(), code, t.String()))
}
