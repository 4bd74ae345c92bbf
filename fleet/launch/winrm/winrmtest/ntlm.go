package winrmtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"

	"golang.org/x/crypto/md4"
)

// peer is what is known of a connection.
type peer struct {
	mu        sync.Mutex
	challenge []byte   // of the server, while the handshake runs; guarded by mu
	session   *session // after it; guarded by mu
	age       int      // Server.age of the session; guarded by mu
}

// Flags of [MS-NLMP] 2.2.2.5.
const (
	flagUnicode   = 0x00000001
	flagTarget    = 0x00000004
	flagSign      = 0x00000010
	flagSeal      = 0x00000020
	flagNTLM      = 0x00000200
	flagAlways    = 0x00008000
	flagExtended  = 0x00080000
	flagInfo      = 0x00800000
	flagVersion   = 0x02000000
	flag128       = 0x20000000
	flagExchange  = 0x40000000
	flag56        = 0x80000000
	flagsOfServer = flagUnicode | flagTarget | flagSign | flagSeal | flagNTLM | flagAlways | flagExtended | flagInfo | flag128 | flagExchange | flag56 | flagVersion
)

// negotiate does a step of the handshake.
func (s *Server) negotiate(w http.ResponseWriter, r *http.Request, p *peer) {
	token, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Authorization"), "Negotiate "))
	if err != nil || len(token) < 12 || !bytes.HasPrefix(token, []byte("NTLMSSP\x00")) {
		http.Error(w, "no NTLM message", http.StatusBadRequest)
		return
	}
	p.session = nil
	if binary.LittleEndian.Uint32(token[8:]) == 1 {
		p.challenge = make([]byte, 8)
		_, _ = rand.Read(p.challenge)
		w.Header().Add("Www-Authenticate", "Negotiate "+base64.StdEncoding.EncodeToString(challengeMessage(p.challenge)))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	session, err := s.authenticate(token, p.challenge)
	p.challenge = nil
	if err != nil {
		s.refuse(w)
		return
	}
	p.session, p.age = session, s.now()
	w.WriteHeader(http.StatusOK)
}

func challengeMessage(challenge []byte) []byte {
	target := utf16le("MACHINE")
	pair := func(id uint16, v []byte) []byte {
		b := binary.LittleEndian.AppendUint16(nil, id)
		return append(binary.LittleEndian.AppendUint16(b, uint16(len(v))), v...)
	}
	info := append(pair(2, target), pair(1, target)...)
	info = append(info, pair(0, nil)...)
	b := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	field := func(v []byte, at int) {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(v)))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(v)))
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
	}
	const head = 56
	field(target, head)
	b = binary.LittleEndian.AppendUint32(b, flagsOfServer)
	b = append(b, challenge...)
	b = append(b, make([]byte, 8)...)
	field(info, head+len(target))
	b = append(b, 10, 0, 0x61, 0x4a, 0, 0, 0, 15) // Windows 10, revision 15
	return append(append(b, target...), info...)
}

// authenticate checks an NTLMv2 response ([MS-NLMP] 3.3.2) and makes the keys of the session.
func (s *Server) authenticate(m, challenge []byte) (*session, error) {
	wrong := errors.New("logon failure")
	field := func(at int) []byte {
		if len(m) < at+8 {
			return nil
		}
		n, from := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		if from+n > len(m) {
			return nil
		}
		return m[from : from+n]
	}
	if len(m) < 64 || len(challenge) != 8 {
		return nil, wrong
	}
	response, domain, user, encrypted := field(20), field(28), field(36), field(52)
	flags := binary.LittleEndian.Uint32(m[60:])
	if len(response) < 16+28 || len(encrypted) != 16 || flags&(flagSeal|flagSign|flagExchange|flag128|flagExtended) != flagSeal|flagSign|flagExchange|flag128|flagExtended {
		return nil, wrong
	}
	name := strings.TrimPrefix(s.cfg.User, `.\`)
	if _, n, ok := strings.Cut(name, `\`); ok {
		name = n
	}
	if !bytes.EqualFold(user, utf16le(name)) {
		return nil, wrong
	}
	hash := md4.New()
	hash.Write(utf16le(s.cfg.Password))
	key := mac(hash.Sum(nil), append(utf16le(strings.ToUpper(name)), domain...))
	proof := mac(key, append(bytes.Clone(challenge), response[16:]...))
	if !hmac.Equal(proof, response[:16]) {
		return nil, wrong
	}
	exported := make([]byte, 16)
	c, err := rc4.NewCipher(mac(key, proof))
	if err != nil {
		return nil, err
	}
	c.XORKeyStream(exported, encrypted)
	return newSession(exported)
}

func mac(key, data []byte) []byte {
	h := hmac.New(md5.New, key)
	h.Write(data)
	return h.Sum(nil)
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// session is NTLM's encryption of one connection, from the server's side ([MS-NLMP] 3.4).
type session struct{ in, out half }

type half struct {
	sign   []byte
	cipher *rc4.Cipher
	number uint32
}

func newSession(key []byte) (*session, error) {
	derive := func(direction string) (half, error) {
		sum := func(what string) []byte {
			h := md5.Sum(append(bytes.Clone(key), "session key to "+direction+" "+what+" key magic constant\x00"...))
			return h[:]
		}
		c, err := rc4.NewCipher(sum("sealing"))
		return half{sign: sum("signing"), cipher: c}, err
	}
	in, err := derive("client-to-server")
	if err != nil {
		return nil, err
	}
	out, err := derive("server-to-client")
	return &session{in: in, out: out}, err
}

// mark is the signature of a message: version, encrypted checksum, number.
func (h *half) mark(plain []byte) []byte {
	number := binary.LittleEndian.AppendUint32(nil, h.number)
	h.number++
	sum := mac(h.sign, append(bytes.Clone(number), plain...))[:8]
	h.cipher.XORKeyStream(sum, sum)
	return append(append([]byte{1, 0, 0, 0}, sum...), number...)
}

const (
	boundary   = "--Encrypted Boundary"
	sealedType = `multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
)

var part = regexp.MustCompile(`(?s)^--Encrypted Boundary\r\n\s*Content-Type: application/HTTP-SPNEGO-session-encrypted\r\n\s*OriginalContent: type=application/soap\+xml;charset=UTF-8;Length=(\d+)\r\n--Encrypted Boundary\r\n\s*Content-Type: application/octet-stream\r\n(.*)--Encrypted Boundary--\r\n$`)

func (s *session) open(body []byte) ([]byte, error) {
	m := part.FindSubmatch(body)
	if s == nil || m == nil || len(m[2]) < 20 || binary.LittleEndian.Uint32(m[2]) != 16 {
		return nil, errors.New("not an encrypted message")
	}
	signature, plain := m[2][4:20], bytes.Clone(m[2][20:])
	s.in.cipher.XORKeyStream(plain, plain)
	if n, err := strconv.Atoi(string(m[1])); err != nil || n != len(plain) {
		return nil, errors.New("the length is wrong")
	}
	if !hmac.Equal(signature, s.in.mark(plain)) {
		return nil, errors.New("the signature is wrong")
	}
	return plain, nil
}

func (s *session) close(plain []byte) []byte {
	sealed := make([]byte, len(plain))
	s.out.cipher.XORKeyStream(sealed, plain)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n", boundary, len(plain))
	b.WriteString(boundary + "\r\n\tContent-Type: application/octet-stream\r\n\x10\x00\x00\x00")
	b.Write(s.out.mark(plain))
	b.Write(sealed)
	b.WriteString(boundary + "--\r\n")
	return b.Bytes()
}
