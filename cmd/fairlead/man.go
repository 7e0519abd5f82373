package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type manCommand struct {
	Dir string `arg:"" optional:"" default:"." help:"Directory to write to; it is made when it is not there (default: the current one)."`
}

func (c *manCommand) Run(env *surroundings, app *kong.Kong) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("write the manual pages: %w", unwrapPath(err, c.Dir))
	}
	pages := manPages(app.Model.Node, manDate(time.Now()))
	for _, p := range pages {
		name := filepath.Join(c.Dir, p.name)
		if err := os.WriteFile(name, []byte(p.text), 0o644); err != nil {
			return fmt.Errorf("write a manual page: %w", unwrapPath(err, name))
		}
	}
	_, err := fmt.Fprintf(env.out, "%s in %s\n", count(len(pages), "manual page"), c.Dir)
	return err
}

// manDate is the date of the source where that is known, so that a build can be
// repeated: https://reproducible-builds.org/specs/source-date-epoch
func manDate(now time.Time) string {
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		now = time.Unix(s, 0)
	} else if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil && s.Key == "vcs.time" {
				now = at
			}
		}
	}
	return now.UTC().Format(time.DateOnly)
}

// manPage is one page, in roff with the man macros.
type manPage struct{ name, text string }

// manPages are the page of the program and one for each of its commands.
func manPages(root *kong.Node, date string) []manPage {
	r := &roff{}
	r.begin("fairlead", date, "a layer-4 director with Direct Server Return")
	r.section("SYNOPSIS")
	r.raw(".B fairlead\n.I command\n.RI [ flags ]\n")
	r.section("DESCRIPTION")
	r.text("Fairlead leads connections to virtual IP addresses to real servers, and replaces a server that dies. It is made for an NFS service that outlives its server.")
	r.section("COMMANDS")
	pages := []manPage{}
	for _, n := range root.Children {
		if n.Hidden {
			continue
		}
		r.item(`\fBfairlead\-`+escaped(n.Name)+`\fR(1)`, n.Help)
		pages = append(pages, manPage{"fairlead-" + n.Name + ".1", commandPage(n, date)})
	}
	r.exits()
	r.section("ENVIRONMENT")
	r.item(`\fBNO_COLOR\fR`, "When it is set and not empty, nothing is coloured. Only what goes to a terminal ever is.")
	r.item(`\fBTERM\fR`, "The kind of the terminal, for `fairlead top`; with dumb nothing is coloured.")
	r.item(`\fBSOURCE_DATE_EPOCH\fR`, "The date of the pages that `fairlead man` writes, in seconds since 1970.")
	r.files(slices.Concat(leafFlags(root)...))
	return append([]manPage{{"fairlead.1", r.b.String()}}, pages...)
}

func commandPage(n *kong.Node, date string) string {
	r := &roff{}
	r.begin("fairlead-"+n.Name, date, strings.TrimSuffix(lowered(n.Help), "."))
	r.section("SYNOPSIS")
	leaves := []*kong.Node{n}
	if len(n.Children) > 0 {
		leaves = n.Leaves(true)
	}
	for i, leaf := range leaves {
		if i > 0 {
			r.raw(".br\n")
		}
		r.raw(`\fBfairlead\fR ` + escaped(leaf.Summary()) + "\n")
	}
	r.section("DESCRIPTION")
	r.text(n.Help)
	r.text(n.Detail)
	for _, leaf := range leaves {
		r.command(leaf, leaf != n)
	}
	if lines := manExamples(n.Name); len(lines) > 0 {
		r.section("EXAMPLES")
		r.raw(".nf\n")
		for _, l := range lines {
			r.raw(escaped(l) + "\n")
		}
		r.raw(".fi\n")
	}
	r.exits()
	r.files(slices.Concat(leafFlags(n)...))
	r.section("SEE ALSO")
	r.raw(".BR fairlead (1)\n")
	return r.b.String()
}

// leafFlags are the flags of a command and of those below it.
func leafFlags(n *kong.Node) [][]*kong.Flag {
	all := [][]*kong.Flag{n.Flags}
	for _, child := range n.Children {
		if !child.Hidden {
			all = append(all, leafFlags(child)...)
		}
	}
	return all
}

// manExamples are the examples of a command, as the reference has them.
func manExamples(command string) []string {
	return map[string][]string{
		"run":         {"fairlead run -f /etc/fairlead"},
		"check":       {"fairlead check -f /etc/fairlead"},
		"fmt":         {"fairlead fmt -f l4.cfg", "fairlead fmt --write -f /etc/fairlead"},
		"doctor":      {"fairlead doctor -f /etc/fairlead", "fairlead doctor --watch"},
		"status":      {"fairlead status"},
		"switch":      {"fairlead switch nfs/nfs-02"},
		"drain":       {"fairlead drain nfs/nfs-01"},
		"disable":     {"fairlead disable nfs/nfs-01"},
		"enable":      {"fairlead enable nfs/nfs-01"},
		"top":         {"fairlead top", "fairlead top --interval 5s"},
		"templates":   {"fairlead templates", "fairlead templates --director shop --client 192.168.10.0/24"},
		"forget":      {"fairlead forget shop", "fairlead forget shop --client 192.168.10.7"},
		"explain":     {"fairlead explain tcp 192.168.10.7 192.168.10.50:2049", "fairlead explain tcp 192.168.10.7:700 192.168.10.50:2049 --flags ACK", "fairlead explain icmp 192.168.10.7 192.168.10.50"},
		"connections": {"fairlead connections", "fairlead connections --client 192.168.10.0/24 --state old"},
		"events":      {"fairlead events", "fairlead events --follow --since 90m"},
		"reload":      {"fairlead reload"},
		"capture":     {"fairlead capture", "fairlead capture -w - | tcpdump -r -"},
		"user": {"fairlead user add anna --role admin", "fairlead user list", "fairlead user passwd anna",
			"fairlead user role anna operator", "fairlead user remove anna"},
		"token":      {"fairlead token add prometheus --role viewer", "fairlead token list", "fairlead token remove prometheus"},
		"detach":     {"fairlead detach"},
		"realserver": {"fairlead realserver setup --vip 192.168.10.50 --persist --nfs-ports", "fairlead realserver check", "fairlead realserver undo"},
		"lab":        {"sudo fairlead lab"},
		"completion": {"source <(fairlead completion bash)", "fairlead completion zsh > /usr/local/share/zsh/site-functions/_fairlead", "fairlead completion fish > ~/.config/fish/completions/fairlead.fish"},
		"man":        {"fairlead man /usr/local/share/man/man1", "man fairlead"},
	}[command]
}

// exitMeanings are those of the reference.
func exitMeanings() []string {
	return []string{
		"done",
		"it was tried and failed; the configuration has errors; the doctor found something; the lab did not pass",
		"it could not be tried here: wrong usage, no root, no daemon on the socket, or one that hangs; a kernel older than 5.15",
	}
}

// roff is a page that is being written.
type roff struct{ b strings.Builder }

func (r *roff) raw(text string) { r.b.WriteString(text) }

func (r *roff) begin(name, date, about string) {
	fmt.Fprintf(&r.b, ".TH %s 1 %s \"fairlead %s\" \"User Commands\"\n", strings.ToUpper(name), date, version)
	r.section("NAME")
	r.raw(escaped(name) + ` \- ` + escaped(about) + "\n")
}

func (r *roff) section(title string) { fmt.Fprintf(&r.b, ".SH %s\n", title) }

// text writes a paragraph.
func (r *roff) text(text string) {
	if text != "" {
		if !strings.HasSuffix(r.b.String(), ".SH DESCRIPTION\n") {
			r.raw(".PP\n")
		}
		r.raw(sentences(text))
	}
}

// item writes a term, which is roff already, and what there is to say of it.
func (r *roff) item(term, text string) { r.raw(".TP\n" + term + "\n" + sentences(text)) }

// command writes the arguments and flags of a command.
func (r *roff) command(n *kong.Node, nested bool) {
	flags := slices.Concat(n.AllFlags(true)...)
	if nested {
		fmt.Fprintf(&r.b, ".SS fairlead %s\n%s", escaped(n.Path()), sentences(n.Help))
	} else {
		r.section("OPTIONS")
	}
	for _, p := range n.Positional {
		r.item(`\fI`+escaped(p.Name)+`\fR`, p.Help)
	}
	for _, f := range flags {
		term := `\fB\-\-` + escaped(f.Name) + `\fR`
		if f.Short != 0 {
			term = `\fB\-` + string(f.Short) + `\fR, ` + term
		}
		if !f.IsBool() {
			term += `=\fI` + escaped(f.FormatPlaceHolder()) + `\fR`
		}
		text := f.Help
		if f.Required {
			text += " Required."
		}
		r.item(term, text)
	}
}

func (r *roff) exits() {
	r.section("EXIT STATUS")
	for code, meaning := range exitMeanings() {
		r.item(fmt.Sprintf(`\fB%d\fR`, code), meaning+".")
	}
}

// files writes which files the flags lead to when they are not given.
func (r *roff) files(flags []*kong.Flag) {
	written := map[string]bool{}
	for _, f := range flags {
		if !strings.HasPrefix(f.Default, "/") || written[f.Default] {
			continue
		}
		if len(written) == 0 {
			r.section("FILES")
		}
		written[f.Default] = true
		about, _, _ := strings.Cut(f.Help, " (default")
		r.item(`\fI`+escaped(f.Default)+`\fR`, cmp.Or(about, f.Name)+"; see --"+f.Name+".")
	}
}

// escaped is a text with nothing that roff would obey.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// sentences writes a text, each sentence on a line of its own, as roff wants it:
// no line begins with what roff would obey.
func sentences(text string) string {
	var b strings.Builder
	words := strings.Fields(text)
	for i, w := range words {
		if begins := b.Len() == 0 || strings.HasSuffix(b.String(), "\n"); begins && strings.HasPrefix(w, ".") {
			b.WriteString(`\&`)
		}
		b.WriteString(escaped(w))
		if i == len(words)-1 || len(w) > 1 && strings.HasSuffix(w, ".") {
			b.WriteByte('\n')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// lowered is a sentence within another one.
func lowered(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToLower(text[:1]) + text[1:]
}
