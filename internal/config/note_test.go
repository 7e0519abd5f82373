package config

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// noteFiles are the texts of the application note, one for each of its screens.
func noteFiles(t testing.TB) []Source {
	t.Helper()
	var sources []Source
	for _, name := range []string{"flow.cfg", "l4.cfg", "services.cfg"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "nfs-ha", name))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, Source{Name: name, Text: text})
	}
	return sources
}

// noteConfig is what the note's text means.
var noteConfig = model.Config{
	Flows: []model.Flow{{
		Name: "nfs", Policy: model.PolicyDirector, Director: "nfs",
		Rules: []model.Rule{{
			Iface: model.Cond[string]{Set: true, Value: "eth0"},
			Dst:   model.Cond[netip.Prefix]{Set: true, Value: netip.MustParsePrefix("192.168.10.50/32")},
		}},
	}},
	Directors: []model.Director{{
		Name: "nfs", Scheduler: model.RoundRobin, Mode: model.ModeGateway,
		Check: model.Check{
			Tests: []model.Test{{Kind: model.CheckTCP}}, Interval: 10 * time.Second, Timeout: 2 * time.Second,
			Port: 2049, Rise: 2, Fall: 2,
		},
		Servers: []model.Server{
			{Name: "nfs-01", Addr: netip.MustParseAddr("192.168.10.100"), Port: 2049, Weight: 10, Check: true},
			{Name: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101"), Port: 2049, Weight: 1, Sorry: true},
		},
		Failback: model.FailbackManual, LastActive: time.Minute,
	}},
	LVS: model.LVS{ExpireNoDestConn: true, ExpireQuiescentTemplate: true, Timeouts: model.Timeouts{Established: 15 * time.Minute, SynRecv: time.Minute}},
	Web: model.DefaultWeb(),
}

// each applies a change to every text.
func each(sources []Source, change func([]byte) []byte) []Source {
	changed := make([]Source, len(sources))
	for i, s := range sources {
		changed[i] = Source{s.Name, change(s.Text)}
	}
	return changed
}

func lines(text []byte, change func(string) string) []byte {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		b.WriteString(change(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return []byte(b.String())
}

func one(sources []Source) []Source {
	var all []byte
	for _, s := range sources {
		all = append(all, s.Text...)
	}
	return []Source{{"fairlead.cfg", all}}
}

// noteForms are the forms that people may give the note's text.
var noteForms = map[string]func([]Source) []Source{
	"three files": func(s []Source) []Source { return s },
	"one file":    one,
	"files in another order": func(s []Source) []Source {
		return []Source{s[2], s[1], s[0]}
	},
	"one file in another order": func(s []Source) []Source {
		return one([]Source{s[2], s[0], s[1]})
	},
	"indented with blanks": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return indent(b, "    ") })
	},
	"indented with tabs": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return indent(b, "\t") })
	},
	"every line indented": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return lines(b, func(l string) string { return "  " + l }) })
	},
	"CRLF": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) })
	},
	"one file with CRLF": func(s []Source) []Source {
		return each(one(s), func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) })
	},
	"trailing blanks": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return lines(b, func(l string) string { return l + " \t " }) })
	},
	"blank lines": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return lines(b, func(l string) string { return "\n" + l + "\n  " }) })
	},
	"full-line comments": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return lines(b, func(l string) string { return "# über " + l + "\n" + l }) })
	},
	"trailing comments": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return lines(b, func(l string) string { return l + " # why" }) })
	},
	"byte order mark": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) })
	},
	"joined files with byte order marks": func(s []Source) []Source {
		return one(each(s, func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }))
	},
	"no newline at the end": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return bytes.TrimRight(b, "\n") })
	},
	"no-break spaces": func(s []Source) []Source {
		return each(s, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(" "), []byte("\u00a0")) })
	},
	"a service section": func(s []Source) []Source {
		text := append([]byte("service lvs\n"), s[2].Text...)
		return []Source{s[0], s[1], {s[2].Name, text}}
	},
	"canonical": func(s []Source) []Source {
		f, _ := Parse(s)
		return Format(f)
	},
	"canonical and joined": func(s []Source) []Source {
		f, _ := Parse(s)
		return []Source{{"fairlead.cfg", []byte(Print(f))}}
	},
}

func indent(text []byte, with string) []byte {
	return lines(text, func(l string) string {
		if _, head := headKind(strings.Fields(l)[0]); head {
			return l
		}
		return with + l
	})
}

func TestNoteInEveryForm(t *testing.T) {
	for name, form := range noteForms {
		t.Run(name, func(t *testing.T) {
			sources := form(noteFiles(t))
			got, diags := Load(sources)
			if len(diags) != 1 || diags[0].Severity != Warning || !strings.HasPrefix(diags[0].Message, "nothing fences the servers of director nfs") {
				t.Errorf("got %v, want only the warning that nothing fences", diags)
			}
			if !reflect.DeepEqual(got, noteConfig) {
				t.Errorf("got  %+v\nwant %+v", got, noteConfig)
			}
		})
	}
}
