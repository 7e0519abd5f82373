package config

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/model"
)

var update = flag.Bool("update", false, "write what is got into the golden files")

// section is a part of a golden file: a line -- NAME -- and the text after it.
type section struct{ name, text string }

// golden is a case: what it shows, the sources, and what is expected of them.
// Its sections are sources, except these:
//
//	links   the machine's interfaces: NAME ADDRESS/BITS…; CheckHost is asked too
//	authorities  files that cannot be used: PATH WHY; CheckAuthorities is asked too
//	hooks   programmes that cannot be run: PATH WHY; CheckHooks is asked too
//	want    all diagnostics, one on each line; always present
//	config  the meaning, as dump writes it
//	notes   when directors fail back
//	print   the canonical form of all sources
//	render  the diagnostics with the lines that they point at
type golden struct {
	comment  string
	sections []section
}

func (g golden) sources() []Source {
	var sources []Source
	for _, s := range g.sections {
		switch s.name {
		case "links", "hooks", "authorities", "want", "config", "notes", "print", "render":
		default:
			sources = append(sources, Source{s.name, []byte(s.text)})
		}
	}
	return sources
}

func (g golden) links() (links []model.Link, given bool) {
	for _, s := range g.sections {
		if s.name != "links" {
			continue
		}
		for line := range strings.Lines(s.text) {
			fields := strings.Fields(line)
			link := model.Link{Name: fields[0]}
			for _, f := range fields[1:] {
				link.Addrs = append(link.Addrs, netip.MustParsePrefix(f))
			}
			links = append(links, link)
		}
		return links, true
	}
	return nil, false
}

// trouble is why files cannot be used, by path.
func (g golden) trouble(of string) map[string]string {
	trouble := make(map[string]string)
	for _, s := range g.sections {
		if s.name != of {
			continue
		}
		for line := range strings.Lines(s.text) {
			path, why, _ := strings.Cut(strings.TrimSpace(line), " ")
			trouble[path] = why
		}
	}
	return trouble
}

func readGolden(t testing.TB, path string) golden {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- ")
		switch n := len(g.sections); {
		case ok:
			g.sections = append(g.sections, section{name: name})
		case n == 0:
			g.comment += line
		default:
			g.sections[n-1].text += line
		}
	}
	return g
}

func (g golden) String() string {
	var b strings.Builder
	b.WriteString(g.comment)
	for _, s := range g.sections {
		fmt.Fprintf(&b, "-- %s --\n%s", s.name, s.text)
	}
	return b.String()
}

// run fills the sections that hold what is expected with what is got.
func (g golden) run() golden {
	sources := g.sources()
	f, _ := Parse(sources)
	cfg, diags := Load(sources)
	if links, given := g.links(); given {
		diags = append(diags, CheckHost(cfg, f, links)...)
	}
	diags = append(diags, CheckHooks(f, g.trouble("hooks"))...)
	diags = append(diags, CheckAuthorities(f, g.trouble("authorities"))...)
	got := golden{comment: g.comment}
	for _, s := range g.sections {
		switch s.name {
		case "want":
			s.text = ""
			for _, d := range diags {
				s.text += d.String() + "\n"
			}
		case "config":
			s.text = dump(cfg)
		case "notes":
			s.text = ""
			for _, n := range Notes(cfg, f) {
				s.text += n + "\n"
			}
		case "print":
			s.text = Print(f)
		case "render":
			s.text = ""
			for _, d := range diags {
				s.text += NewRendering(sources).Render(d)
			}
		}
		got.sections = append(got.sections, s)
	}
	return got
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	if err != nil || len(paths) < 60 {
		t.Fatalf("%d golden files (%v), want at least 60", len(paths), err)
	}
	return paths
}

func TestGolden(t *testing.T) {
	for _, path := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want := readGolden(t, path)
			got := want.run()
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != want.String() {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// dump shows a configuration, one thing on each line.
func dump(cfg model.Config) string {
	var b strings.Builder
	for _, f := range cfg.Flows {
		fmt.Fprintf(&b, "flow %s %s %s\n", f.Name, f.Policy, f.Director)
		for _, r := range f.Rules {
			fmt.Fprintf(&b, "  %s\n", dumpRule(r))
		}
	}
	if t := cfg.LVS.Timeouts; t != (model.Timeouts{Established: defaultEstablished, SynRecv: defaultSynRecv}) {
		fmt.Fprintf(&b, "timeouts established=%s synrecv=%s\n", t.Established, t.SynRecv)
	}
	for _, d := range cfg.Directors {
		c := d.Check
		fmt.Fprintf(&b, "director %s %s %s\n", d.Name, d.Scheduler, d.Mode)
		for _, t := range c.Tests {
			fmt.Fprintf(&b, "  %s port=%d\n", t, t.Port)
		}
		fmt.Fprintf(&b, "  check interval=%s timeout=%s port=%d source=%s rise=%d fall=%d\n",
			c.Interval, c.Timeout, c.Port, c.Source, c.Rise, c.Fall)
		if d.OnNoServer != model.NoServerHold {
			fmt.Fprintf(&b, "  on-no-server %s\n", d.OnNoServer)
		}
		if c.Own {
			b.WriteString("  check via own\n")
		}
		fmt.Fprintf(&b, "  failback=%s delay=%s lastactive=%s holddown=%s\n", d.Failback, d.FailbackDelay, d.LastActive, d.HoldDown)
		if p := d.Persistence; p != (model.Persistence{}) {
			fmt.Fprintf(&b, "  persistence timeout=%s netmask=%d\n", p.Timeout, p.Bits)
		}
		if y := d.Sync; y != (model.Sync{}) {
			fmt.Fprintf(&b, "  synccheck file=%s export=%s exec=%s version=%s port=%d interval=%s maxlag=%s\n", y.File, y.Export, y.Command, y.Version, y.Port, y.Interval, y.MaxLag)
		}
		for i, h := range []model.Hook{d.Fence, d.Promote} {
			if h != (model.Hook{}) {
				fmt.Fprintf(&b, "  hook %s %s timeout=%s policy=%s\n", model.HookKind(i), h.Command, h.Timeout, h.Policy)
			}
		}
		for _, s := range d.Servers {
			fmt.Fprintf(&b, "  server %s %s port=%d weight=%d check=%t sorry=%t\n",
				s.Name, s.Addr, s.Port, s.Weight, s.Check, s.Sorry)
		}
	}
	fmt.Fprintf(&b, "expire_nodest_conn=%t expire_quiescent_template=%t\n",
		cfg.LVS.ExpireNoDestConn, cfg.LVS.ExpireQuiescentTemplate)
	if w := cfg.Web; w != model.DefaultWeb() && w != (model.Web{}) {
		fmt.Fprintf(&b, "web off=%t listen=%s tls=%s cert=%s key=%s\n", w.Off, w.Listen, w.TLS, w.Cert, w.Key)
	}
	for _, t := range cfg.Notify {
		fmt.Fprintf(&b, "notify %s %s events=%v timeout=%s", t.Kind, t.To, t.Events, t.Timeout)
		if t.Kind == model.TargetEmail {
			fmt.Fprintf(&b, " from=%s server=%s user=%s tls=%s", t.From, t.Server, t.User, t.TLS)
		}
		fmt.Fprintf(&b, " secret=%s\n", t.SecretFile)
	}
	return b.String()
}

func dumpRule(r model.Rule) string {
	s := "match"
	if r.Ignore {
		s = "ignore"
	}
	return s + dumpCond("iface", r.Iface) + dumpCond("proto", r.Proto) + dumpCond("src", r.Src) + dumpCond("dst", r.Dst) +
		dumpCond("srcport", r.SrcPort) + dumpCond("dstport", r.DstPort) + dumpCond("icmptype", r.ICMPType)
}

func dumpCond[T comparable](name string, c model.Cond[T]) string {
	switch {
	case !c.Set:
		return ""
	case c.Not:
		return fmt.Sprintf(" %s!=%v", name, c.Value)
	default:
		return fmt.Sprintf(" %s=%v", name, c.Value)
	}
}
