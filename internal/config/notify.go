package config

import (
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// notifyLines are the words of service notify.
var notifyLines = []string{model.TargetWebhook.String(), model.TargetEmail.String(), model.TargetCommand.String()}

// The settings of its lines, after what they begin with.
var (
	webhookSpecs = []spec{{name: "events", value: "a list"}, {name: "timeout", value: "a time"}, {name: "token-file", value: "a file"}}
	commandSpecs = webhookSpecs[:2]
	emailSpecs   = []spec{
		{name: "from", value: "an address"}, {name: "server", value: "a host with a port"},
		{name: "user", value: "a name"}, {name: "password-file", value: "a file"},
		{name: "tls", value: "starttls, on or off"}, {name: "events", value: "a list"}, {name: "timeout", value: "a time"},
	}
	mailTLSes = []string{model.MailStartTLS.String(), model.MailTLSOn.String(), model.MailTLSOff.String()}
)

// defaultEvents are those that a person wants to be woken for, or asked about in
// the morning: another server serves, or should and cannot; something needs a
// person, or no longer does; a server failed or is back. Reloads, orders and the
// single steps of a switch are for who looks at the journal.
func defaultEvents() []model.EventKind {
	return []model.EventKind{model.EventHealth, model.EventFlip, model.EventStay, model.EventAlarm, model.EventAlarmOver}
}

const (
	maxTargets = 32
	maxURL     = 2000 // characters
	maxEmail   = 254  // characters: RFC 5321, section 4.5.3.1.3, without its brackets
	smtpsPort  = "465"
)

// notifyLine reads a line of service notify.
func (c *checker) notifyLine(l Line) {
	var kind model.TargetKind
	w := l.keyword()
	if kind.UnmarshalText([]byte(w.Text)) != nil {
		return // reported by Parse
	}
	t := model.Target{Kind: kind, Events: defaultEvents(), Timeout: defaultNotifyTimeout}
	if len(l.Words) < 2 {
		example := [...]string{"webhook https://192.0.2.1/hook", "email ops@example.com from fairlead@example.com server 192.0.2.1:25", "command /etc/fairlead/notify"}
		c.fail(w, "for example "+example[kind], "%s needs %s", quote(w.Text), [...]string{"a URL", "an address", "the path of a programme"}[kind])
		return
	}
	to := l.Words[1]
	t.To = to.Text
	switch kind {
	case model.TargetWebhook:
		c.webhookURL(to)
		c.target(&t, l, webhookSpecs)
	case model.TargetEmail:
		c.mailbox(to, "email")
		c.email(&t, l, c.target(&t, l, emailSpecs))
	case model.TargetCommand:
		c.path(to, "command", "/etc/fairlead/")
		c.target(&t, l, commandSpecs)
	}
	if c.config.Notify = append(c.config.Notify, t); len(c.config.Notify) == maxTargets+1 {
		c.fail(w, "at most 32 are supported", "too many lines in service notify")
	}
}

// target reads the settings of a line of service notify, and returns their words.
func (c *checker) target(t *model.Target, l Line, specs []spec) map[string]setting {
	found := make(map[string]setting)
	for _, s := range c.settings(t.Kind.String(), l.Words[2:], specs) {
		found[s.name.Text] = s
		switch s.name.Text {
		case "events":
			t.Events = c.events(s.value)
		case "timeout":
			t.Timeout, _ = c.duration(s.value, "timeout", maxTime)
		case "token-file", "password-file":
			c.path(s.value, s.name.Text, "/etc/fairlead/")
			t.SecretFile = s.value.Text
		case "from":
			c.mailbox(s.value, "from")
			t.From = s.value.Text
		case "server":
			c.mailServer(s.value)
			t.Server = s.value.Text
		case "user":
			t.User = s.value.Text
		case "tls":
			if t.TLS.UnmarshalText([]byte(s.value.Text)) != nil {
				c.fail(s.value, expected(s.value.Text, mailTLSes), "unknown tls %s of email", quote(s.value.Text))
			}
		}
	}
	return found
}

// email checks the settings of an e-mail together.
func (c *checker) email(t *model.Target, l Line, found map[string]setting) {
	for _, need := range []struct{ word, example string }{
		{"from", "from fairlead@example.com"}, {"server", "server 192.0.2.1:25"},
	} {
		// Where the line could not be read, it is not known what is missing.
		if _, given := found[need.word]; !given && len(l.Words) == 2+2*len(found) {
			c.fail(l.keyword(), "for example "+need.example, "\"email\" needs %s", quote(need.word))
		}
	}
	user, named := found["user"]
	file, secret := found["password-file"]
	switch {
	case named && !secret:
		c.fail(user.name, "write password-file FILE, or leave the user out", "user %s of email has no password", quote(t.User))
	case secret && !named:
		c.fail(file.name, "write user NAME", "the password-file of email has no user")
	case named && t.TLS == model.MailTLSOff:
		c.fail(found["tls"].value, "leave it out, or write tls on", "tls off with a password: anybody on the way could read it")
	}
	if _, given := found["tls"]; !given && strings.HasSuffix(t.Server, ":"+smtpsPort) {
		c.warn(found["server"].value, "write tls on", "a mail server speaks TLS from the first byte on port %s, and email begins without", smtpsPort)
	}
}

// events reads a list of kinds of events, or all.
func (c *checker) events(w Word) []model.EventKind {
	if w.Text == "all" {
		return model.EventKinds()
	}
	var kinds []model.EventKind
	at := 0
	for item := range strings.SplitSeq(w.Text, ",") {
		part := w.cut(at, at+len(item))
		at += len(item) + len(",")
		var kind model.EventKind
		switch {
		case item == "":
			c.fail(w, "write the kinds with commas and without blanks, for example flip,alarm", "the list of events %s has an empty item", quote(w.Text))
			return kinds
		case item == "all":
			c.fail(part, "write events all", "\"all\" stands alone in a list of events")
		case kind.UnmarshalText([]byte(item)) != nil:
			c.fail(part, expected(item, append(eventNames(), "all")), "unknown event %s", quote(item))
		case slices.Contains(kinds, kind):
			c.fail(part, "", "second %s in the list of events", quote(item))
		default:
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

func eventNames() []string {
	var all []string
	for _, k := range model.EventKinds() {
		all = append(all, k.String())
	}
	return all
}

// webhookURL reads a URL. It may hold a token, so no message shows it beyond
// its host.
func (c *checker) webhookURL(w Word) {
	const form = "expected https://HOST/PATH or http://HOST/PATH"
	scheme, rest, found := strings.Cut(w.Text, "://")
	authority := rest[:hostEnd(rest)]
	host, _, ok := splitAuthority(authority)
	switch {
	case !found || scheme != "https" && scheme != "http":
		c.fail(w, form, "the URL of webhook is none of https or http")
	case strings.Contains(authority, "@"):
		c.fail(w, "write the token into a file, and token-file FILE behind the URL", "the URL of webhook has a user or a password in it")
	case !ok:
		c.fail(w, form, "the URL of webhook has no host, or one that cannot be")
	case strings.ContainsFunc(rest[len(authority):], func(r rune) bool { return r <= ' ' || r > '~' }):
		c.fail(w, "write other characters as % and two digits", "the URL of webhook has a character that no URL has")
	case len(w.Text) > maxURL:
		c.fail(w, "at most 2000 are allowed", "the URL of webhook has %d characters", len(w.Text))
	case scheme == "http" && !loopbackHost(host):
		c.warn(w, "write https", "the webhook at %s is called without TLS: anybody on the way can read and change what it is told", host)
	}
}

// hostEnd is where the host of a URL without its scheme ends.
func hostEnd(rest string) int {
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		return i
	}
	return len(rest)
}

// splitAuthority reads HOST or HOST:PORT; the host is a name or an address.
func splitAuthority(text string) (host, port string, ok bool) {
	host = text
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
		if n := len(port); n == 0 || n > 5 || strings.TrimFunc(port, isDigit) != "" || n == 5 && port > "65535" || port == "0" {
			return host, port, false
		}
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return host, port, err == nil && addr.Is6() && strings.HasSuffix(inner, "]")
	}
	return host, port, hostName(host)
}

// hostName tells whether a text can be the name or the IPv4 address of a machine.
func hostName(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		strange := func(r rune) bool { return r > 127 || !isLetter(r) && !isDigit(r) && r != '-' && r != '_' }
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, strange) {
			return false
		}
	}
	return true
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// mailbox reads an e-mail address.
func (c *checker) mailbox(w Word, what string) {
	at := strings.LastIndexByte(w.Text, '@')
	strange := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("<>()[],;:\\\"@", r) }
	if at < 1 || !hostName(w.Text[at+1:]) || strings.ContainsFunc(w.Text[:at], strange) || len(w.Text) > maxEmail {
		c.fail(w, "for example ops@example.com", "%s %s is not an e-mail address", what, quote(w.Text))
	}
}

// mailServer reads HOST:PORT.
func (c *checker) mailServer(w Word) {
	host, port, ok := splitAuthority(w.Text)
	switch {
	case ok && port == "":
		c.fail(w, "write "+host+":25, or the port of your mail server", "server %s has no port", quote(w.Text))
	case !ok:
		c.fail(w, "expected a host and a port, for example mail.example.com:25", "server cannot be %s", quote(w.Text))
	}
}
