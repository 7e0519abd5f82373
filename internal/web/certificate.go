package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	ownCert = "web.crt" // in the state directory
	ownKey  = "web.key"

	validFor    = 730 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
)

// A keeper has the certificate of one listener, and notices when another is due.
type keeper struct {
	cert, key string         // files
	own       bool           // made by us
	addr      netip.AddrPort // that it is for
	host      string

	mu   sync.Mutex // guards the following
	now  *tls.Certificate
	seen [2]fs.FileInfo
	why  string // why a newer certificate is not used
}

// load reads the certificate, and makes it first when it is our own and is
// missing, near its end or for another address.
func (k *keeper) load(at time.Time) error {
	if !k.own {
		return k.read(at)
	}
	if k.read(at) == nil && k.fits(k.now.Leaf, at) {
		return nil
	}
	pair, err := makeCertificate(k.addr.Addr(), k.host, at)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	k.set(pair.tls, "")
	if err := pair.save(k.cert, k.key); err != nil {
		// It serves as well; but browsers ask again after a restart.
		k.set(pair.tls, fmt.Sprintf("the certificate is lost when the daemon ends: %v", err))
		return nil
	}
	return k.read(at)
}

// read takes what the files hold.
func (k *keeper) read(at time.Time) error {
	var seen [2]fs.FileInfo
	for i, name := range []string{k.cert, k.key} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("read the certificate: %w", err)
		}
		seen[i] = info
	}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("read the certificate %s with its key %s: %w", k.cert, k.key, err)
	}
	why := ""
	if at.After(pair.Leaf.NotAfter) {
		why = fmt.Sprintf("the certificate %s ended on %s: replace it", k.cert, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	k.set(&pair, why)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = seen
	return nil
}

func (k *keeper) set(c *tls.Certificate, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now, k.why = c, why
}

// look takes a new certificate when the files changed, or the end of our own is
// near. The present one stays in use when that fails.
func (k *keeper) look(at time.Time) {
	if k.own && at.After(k.leaf().NotAfter.Add(-renewBefore)) || !k.own && k.changed() {
		if err := k.load(at); err != nil {
			k.set(k.now, fmt.Sprintf("the certificate from before is still in use: %v", err))
		}
	}
}

func (k *keeper) changed() bool {
	for i, name := range []string{k.cert, k.key} {
		info, err := os.Stat(name)
		if err != nil || k.seen[i] == nil {
			return true
		}
		was := k.seen[i]
		if !os.SameFile(info, was) || info.Size() != was.Size() || !info.ModTime().Equal(was.ModTime()) {
			return true
		}
	}
	return false
}

func (k *keeper) leaf() *x509.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now.Leaf
}

func (k *keeper) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.now, nil
		},
	}
}

// words say which certificate it is, as browsers show it, and what is wrong.
func (k *keeper) words() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	text := ""
	if k.own {
		var hex []string
		for _, b := range sha256.Sum256(k.now.Leaf.Raw) {
			hex = append(hex, fmt.Sprintf("%02X", b))
		}
		text = ", with a certificate of its own whose SHA-256 is " + strings.Join(hex, ":")
	}
	if k.why != "" {
		text += "; " + k.why
	}
	return text
}

// fits tells whether our own certificate is still for this address and machine.
func (k *keeper) fits(c *x509.Certificate, at time.Time) bool {
	addr := k.addr.Addr()
	if at.Before(c.NotBefore) || at.After(c.NotAfter.Add(-renewBefore)) {
		return false
	}
	return (addr.IsUnspecified() || c.VerifyHostname(addr.WithZone("").String()) == nil) &&
		(!isName(k.host) || c.VerifyHostname(k.host) == nil)
}

// isName tells whether a machine's name may stand in a certificate.
func isName(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.'
	})
}

// made is a new certificate with its key.
type made struct {
	tls  *tls.Certificate
	cert []byte // PEM
	key  []byte
}

func makeCertificate(addr netip.Addr, host string, at time.Time) (made, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return made{}, err
	}
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Fairlead on " + host},
		NotBefore:             at.Add(-time.Hour), // clocks differ
		NotAfter:              at.Add(validFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           addresses(addr),
	}
	if isName(host) && host != "localhost" {
		c.DNSNames = append(c.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return made{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return made{}, err
	}
	m := made{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
	pair, err := tls.X509KeyPair(m.cert, m.key)
	m.tls = &pair
	return m, err
}

// addresses are those that a listener on addr may be reached by.
func addresses(addr netip.Addr) []net.IP {
	all := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if !addr.IsUnspecified() {
		return append(all, addr.AsSlice())
	}
	known, _ := net.InterfaceAddrs() // without them it is for the names only
	for _, a := range known {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			all = append(all, n.IP)
		}
	}
	return all
}

// save writes both files, the key readable for its owner only. Two that do not
// belong together, after a crash, are replaced at the next start.
func (m made) save(cert, key string) error {
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		return err
	}
	return errors.Join(replace(key, m.key, 0o600), replace(cert, m.cert, 0o644))
}

func replace(path string, content []byte, mode fs.FileMode) error {
	spare := path + ".new"
	if err := os.Remove(spare); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(spare, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(spare, path)
}
