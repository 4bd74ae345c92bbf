package file

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/outwork-build/outwork/pipeline/value"
)

// codec is between a file's bytes and a program's text.
type codec struct {
	decode func([]byte) string
	encode func(string) ([]byte, error)
}

// codecFor finds an encoding by the names that Java has for it, and Jenkins' own Base64. "" is UTF-8.
func codecFor(name string) (codec, error) {
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return codec{
			func(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") },
			func(s string) ([]byte, error) { return []byte(s), nil },
		}, nil
	case "base64":
		return codec{base64.StdEncoding.EncodeToString, fromBase64}, nil
	case "iso-8859-1", "iso8859-1", "latin1":
		return codec{latin1, toLatin1}, nil
	case "utf-16le":
		return codec{utf16Text(binary.LittleEndian), utf16Bytes(binary.LittleEndian)}, nil
	case "utf-16be", "utf-16":
		return codec{utf16Text(binary.BigEndian), utf16Bytes(binary.BigEndian)}, nil
	}
	return codec{}, value.Abort(fmt.Sprintf("encoding %q is not supported: expected UTF-8, UTF-16, UTF-16LE, UTF-16BE, ISO-8859-1, US-ASCII or Base64", name))
}

func fromBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, value.Abort("the text is not Base64: " + err.Error())
	}
	return b, nil
}

func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

func toLatin1(s string) ([]byte, error) {
	var b []byte
	for _, r := range s {
		if r > 0xff {
			r = '?' // as Java writes what an encoding does not have
		}
		b = append(b, byte(r))
	}
	return b, nil
}

func utf16Text(order binary.ByteOrder) func([]byte) string {
	return func(b []byte) string {
		if len(b) >= 2 && order == binary.BigEndian && b[0] == 0xff && b[1] == 0xfe {
			order, b = binary.LittleEndian, b[2:]
		} else if len(b) >= 2 && order.Uint16(b) == 0xfeff {
			b = b[2:]
		}
		var u []uint16
		for ; len(b) >= 2; b = b[2:] {
			u = append(u, order.Uint16(b))
		}
		return string(utf16.Decode(u))
	}
}

func utf16Bytes(order binary.AppendByteOrder) func(string) ([]byte, error) {
	return func(s string) ([]byte, error) {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = order.AppendUint16(b, u)
		}
		return b, nil
	}
}
