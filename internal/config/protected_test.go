package config

import (
	"strings"
	"testing"
)

const guardedText = `flow nfs director nfs
match iface eth0 dst 192.168.10.50
director nfs
mode gateway
check interval 10 port 2049 timeout 2
option tcpcheck
hook fence /etc/fairlead/hooks/fence timeout 20s
hook promote /etc/fairlead/hooks/promote
server nfs-01 192.168.10.100:2049 check
server nfs-02 192.168.10.101:2049 sorry
service notify
command /etc/fairlead/notify
webhook https://chat.example.com/T0KEN token-file /etc/fairlead/token
webhook https://other.example.com/x
service web
listen 192.0.2.1:8480
tls cert /etc/fairlead/cert.pem key /etc/fairlead/key.pem
`

func TestProtected(t *testing.T) {
	const second = "director web\nmode gateway\ncheck port 80\nserver w1 192.168.10.110:80 check\n"
	for _, tt := range []struct {
		what, from, to string
		want           string // part of the only finding; "" for none
	}{
		{"nothing", "", "", ""},
		{"another interval", "interval 10", "interval 5", ""},
		{"blanks, comments and line ends", "hook fence /etc/fairlead/hooks/fence timeout 20s\n", "\thook  fence /etc/fairlead/hooks/fence   timeout 20s # the plug\r\n", ""},
		{"another order", "hook promote /etc/fairlead/hooks/promote\nserver nfs-01 192.168.10.100:2049 check\n", "server nfs-01 192.168.10.100:2049 check\nhook promote /etc/fairlead/hooks/promote\n", ""},
		{"the director goes", guardedText[strings.Index(guardedText, "director nfs\nmode"):strings.Index(guardedText, "service notify")], "", ""},
		{"another path", "hooks/promote", "hooks/demote", `t.cfg:8:1: error: a "hook" line of director nfs`},
		{"another timeout", "timeout 20s", "timeout 1ms", "t.cfg:7:1: "},
		{"another policy", "hooks/promote\n", "hooks/promote policy try\n", "t.cfg:8:1: "},
		{"a hook goes", "hook promote /etc/fairlead/hooks/promote\n", "", `t.cfg:3:1: error: director nfs loses the line "hook promote /etc/fairlead/hooks/promote"`},
		{"another kind", "hook promote /etc/fairlead/hooks/promote\n", "hook promote /etc/fairlead/hooks/fence timeout 20s\n", "t.cfg:8:1: "},
		{"the director gets another name", "nfs\nmode", "store\nmode", "t.cfg:7:1: "},
		{"a hook for another director", "service notify\n", second + "hook fence /etc/fairlead/hooks/fence timeout 20s\nservice notify\n", `a "hook" line of director web`},
		{"a hook in capitals", "service notify\n", second + "HOOK fence /bin/sh\nservice notify\n", `a "HOOK" line of director web`},
		{"another command", "command /etc/fairlead/notify", "command /bin/sh", `a "command" line of service notify`},
		{"a second command", "command /etc/fairlead/notify\n", "command /etc/fairlead/notify\ncommand /etc/fairlead/notify\n", "t.cfg:13:1: "},
		{"a command less", "command /etc/fairlead/notify\n", "", ""},
		{"the token to somebody else", "chat.example.com", "evil.example.com", `a "webhook" line of service notify`},
		{"a webhook without a token", "https://other.example.com/x", "https://new.example.com/y", ""},
		{"a secret file of an e-mail", "service web\n", "email a@b.example from c@b.example server b.example:25 user u password-file /etc/shadow\nservice web\n", `a "email" line`},
		{"another check", "option tcpcheck", "option tlscheck name a.example", ""},
		{"a programme that checks", "option tcpcheck", "option execcheck /bin/sh", `t.cfg:6:8: error: a "execcheck" line of director nfs`},
		{"a programme that measures", "option tcpcheck", "option tcpcheck\noption synccheck maxlag 10 exec /bin/sh", `t.cfg:7:8: error: a "synccheck" line of director nfs`},
		{"a heartbeat", "option tcpcheck", "option tcpcheck\noption synccheck file /srv/nfs/beat", ""},
		{"a file of authorities", "option tcpcheck", "option tlscheck name a.example ca /etc/shadow", `t.cfg:6:8: error: a "tlscheck" line of director nfs`},
		{"another certificate", "cert.pem", "other.pem", `a "tls" line of service web`},
		{"no certificate", "tls cert /etc/fairlead/cert.pem key /etc/fairlead/key.pem\n", "tls own\n", ""},
	} {
		after := strings.Replace(guardedText, tt.from, tt.to, 1)
		if tt.from != "" && after == guardedText {
			t.Fatalf("%s: the text has no %q", tt.what, tt.from)
		}
		found := Protected([]Source{{"t.cfg", []byte(guardedText)}}, []Source{{"t.cfg", []byte(after)}})
		var lines []string
		for _, f := range found {
			lines = append(lines, f.String())
		}
		// What is replaced is new, and what it replaces is lost: the first says where.
		if tt.want == "" && len(found) > 0 || tt.want != "" && !strings.Contains(strings.Join(lines, "\n"), tt.want) || tt.want != "" && !Failed(found) {
			t.Errorf("%s: got %q, want %q", tt.what, lines, tt.want)
		}
	}
	// A line that goes to another document stays.
	head, tail, _ := strings.Cut(guardedText, "director nfs\nmode")
	two := []Source{{"a.cfg", []byte("director nfs\nmode" + tail)}, {"b.cfg", []byte(head)}}
	if found := Protected([]Source{{"t.cfg", []byte(guardedText)}}, two); len(found) > 0 {
		t.Errorf("two documents: got %v", found)
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"webhook https://chat.example.com/T0KEN?x=1 events all":                         "webhook https://chat.example.com/*** events all",
		"  webhook\thttps://chat.example.com":                                           "  webhook\thttps://chat.example.com",
		"# webhook https://u:p@chat.example.com/x":                                      "# webhook https://***/***",
		"webhook https://u:p/w@chat.example.com":                                        "webhook https://***/***",
		"webhook https://u:p/w":                                                         "webhook https://***/***",
		"see https://chat.example.com?T0KEN":                                            "see https://chat.example.com/***",
		"was: u:p@https://chat.example.com":                                             "was: ***",
		"\ufeffwebhook\ufeffT0KEN":                                                      "webhook ***",
		"#webhook T0KEN":                                                                "#webhook ***",
		"Webhook chat.example.com/T0KEN":                                                "Webhook ***",
		"server nfs-01 192.168.10.100:2049":                                             "server nfs-01 192.168.10.100:2049",
		"webhook https://a.example/1\nlisten 192.0.2.1:80\nwebhook https://b.example/2": "webhook https://a.example/***\nlisten 192.0.2.1:80\nwebhook https://b.example/***",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if again := Redact(want); again != want {
			t.Errorf("%q, twice: got %q", text, again)
		}
	}
}
