package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// send mails m once.
func (s *Service) send(ctx context.Context, c SMTP, m Message) error {
	msg, err := letter(c, m)
	if err != nil {
		return permanent{fmt.Errorf("mail: %w", err)}
	}
	options := []mail.Option{mail.WithPort(c.port()), mail.WithTimeout(30 * time.Second), mail.WithTLSConfig(s.tls(c.Host)), mail.WithTLSPolicy(mail.TLSMandatory)}
	switch c.TLS {
	case ImplicitTLS:
		options = append(options, mail.WithSSL())
	case NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if c.Username != "" {
		password, err := s.cfg.Secrets.Resolve(ctx, c.Password)
		if err != nil {
			return fmt.Errorf("mail: %w", err)
		}
		options = append(options, mail.WithSMTPAuth(authOf(c)), mail.WithUsername(c.Username),
			mail.WithPassword(strings.TrimRight(string(password.Reveal()), "\r\n")))
	}
	client, err := mail.NewClient(c.Host, options...)
	if err != nil {
		return permanent{fmt.Errorf("mail: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		err = fmt.Errorf("mail by %s:%d: %w", c.Host, c.port(), err)
		if refused(err) {
			return permanent{err}
		}
		return err
	}
	return nil
}

// authOf lets a server of this machine, where nothing is listened to, have the password without TLS.
func authOf(c SMTP) mail.SMTPAuthType {
	if c.TLS == NoTLS {
		return mail.SMTPAuthPlainNoEnc
	}
	return mail.SMTPAuthAutoDiscover
}

// refused reports whether the server will never take the message: it said 5xx to its content or recipients.
func refused(err error) bool {
	var sent *mail.SendError
	var reply *textproto.Error
	if errors.As(err, &sent) {
		return !sent.IsTemp() && sent.ErrorCode() >= 500
	}
	return errors.As(err, &reply) && reply.Code >= 550
}

func letter(c SMTP, m Message) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.From(c.From); err != nil {
		return nil, err
	}
	if err := msg.To(c.To...); err != nil {
		return nil, err
	}
	msg.SetMessageIDWithValue(m.ID + "@outwork")
	msg.SetDateWithValue(m.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.Subject(oneLine(m.subject()))
	msg.SetBodyString(mail.TypeTextPlain, m.text())
	return msg, nil
}

// tls is how servers are known: by the system's authorities, or those of the Config.
func (s *Service) tls(name string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: s.cfg.RootCAs, MinVersion: tls.VersionTLS12}
}
