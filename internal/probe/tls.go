package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
)

// authoritiesMost is how large a file of authorities may be.
const authoritiesMost = 1 << 20

// askTLS makes a TLS handshake. Package tls bounds what it reads: a record has at
// most 16 KiB, a certificate message 256 KiB.
func askTLS(ctx context.Context, q question) (err error) {
	config, err := tlsConfig(q)
	if err != nil {
		return err
	}
	conn, err := q.tcp(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer bind(ctx, conn)()
	return refused(tls.Client(conn, config).Handshake())
}

// tlsConfig looks at the certificate only where the test says so: a server that is
// asked by its address has none for it.
func tlsConfig(q question) (*tls.Config, error) {
	config := &tls.Config{ServerName: q.Name, InsecureSkipVerify: q.Name == ""}
	if q.CA == "" {
		return config, nil
	}
	pool, err := authorities(q.CA)
	if err != nil {
		return nil, wrong{said: fmt.Sprintf("cannot be asked: the file of authorities %s %v", q.CA, err)}
	}
	config.RootCAs = pool
	if q.Name == "" {
		config.VerifyConnection = func(s tls.ConnectionState) error { return signed(s, pool) }
	}
	return config, nil
}

// Authorities says why tlscheck cannot use a file of authorities.
func Authorities(path string) error {
	_, err := authorities(path)
	return err
}

// authorities reads a file of certificates. It is read for each test, so that a
// new one needs no reload.
func authorities(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, authoritiesMost))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("has no certificate in PEM form")
	}
	return pool, nil
}

// signed tells whether the authorities vouch for the certificate, whatever name
// it is for.
func signed(s tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// refused puts a failed handshake into words.
func refused(err error) error {
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &certificate):
		return wrong{said: fmt.Sprintf("has a certificate that does not pass: %v", certificate.Err)}
	case errors.As(err, new(tls.RecordHeaderError)):
		return wrong{said: "answers a TLS handshake with something that is not TLS"}
	case errors.As(err, &alert):
		return wrong{said: fmt.Sprintf("refuses the TLS handshake: %v", alert)}
	}
	return wrong{asked: "a TLS handshake", cause: err}
}
