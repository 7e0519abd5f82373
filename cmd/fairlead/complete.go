package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// The scripts ask `fairlead __complete` with the words of the command line, the
// last of which is being typed.
var (
	//go:embed complete/fairlead.bash
	bashScript string
	//go:embed complete/fairlead.zsh
	zshScript string
	//go:embed complete/fairlead.fish
	fishScript string
)

// completePatience is how long the names of the running daemon may take: somebody
// is typing.
const completePatience = 500 * time.Millisecond

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

func (c *completionCommand) Run(env *surroundings) error {
	script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell]
	if _, err := io.WriteString(env.out, script); err != nil {
		return fmt.Errorf("print the script: %w", err)
	}
	return nil
}

// completeCommand is what the scripts call, not a command for people.
type completeCommand struct {
	Words []string `arg:"" optional:"" help:"The words of the command line, the last one as far as it is typed."`
}

func (c *completeCommand) Run(ctx context.Context, env *surroundings, app *kong.Kong) error {
	line := typedLine(app.Model.Node, unsplit(c.Words))
	for _, one := range line.candidates(func(socket string) model.Status { return quickStatus(ctx, socket) }) {
		if _, err := fmt.Fprintln(env.out, strings.TrimSuffix(one.value+"\t"+one.about, "\t")); err != nil {
			return fmt.Errorf("print what could follow: %w", err)
		}
	}
	return nil
}

// quickStatus is empty when no daemon answers at once: nothing is known then.
func quickStatus(ctx context.Context, socket string) model.Status {
	ctx, cancel := context.WithTimeout(ctx, completePatience)
	defer cancel()
	s, err := api.NewClient(socket).Status(ctx)
	if err != nil {
		return model.Status{}
	}
	return s
}

// unsplit puts together what bash has split at an equals sign.
func unsplit(words []string) []string {
	var all []string
	for i := 0; i < len(words); i++ {
		last := len(all) - 1
		if words[i] != "=" || last < 0 || !strings.HasPrefix(all[last], "--") {
			all = append(all, words[i])
			continue
		}
		all[last] += "="
		if i+1 < len(words) {
			i++
			all[last] += words[i]
		}
	}
	return all
}

// typed is a command line as far as it is typed.
type typed struct {
	command *kong.Node
	place   int               // of the next positional argument
	flag    *kong.Flag        // whose value comes next; nil: none
	given   map[string]string // the flags' values so far
	word    string            // that is being typed
}

// candidate is a word that could follow. A value with a colon before it asks the
// shell for its own: :files or :dirs.
type candidate struct{ value, about string }

func typedLine(root *kong.Node, words []string) typed {
	t := typed{command: root, given: map[string]string{}}
	if len(words) == 0 {
		return t
	}
	last := len(words) - 1
	for _, w := range words[:last] {
		t = t.after(w)
	}
	t.word = words[last]
	if name, value, ok := strings.Cut(t.word, "="); ok && strings.HasPrefix(name, "--") && t.flag == nil {
		t.flag, t.word = t.find(name), value
	}
	return t
}

// after is the line with a word that is complete.
func (t typed) after(word string) typed {
	name, value, whole := strings.Cut(word, "=")
	switch {
	case t.flag != nil:
		t.given[t.flag.Name] = word
		t.flag = nil
	case strings.HasPrefix(word, "-") && word != "-":
		f := t.find(name)
		if f == nil || f.IsBool() {
			return t
		}
		if t.given[f.Name] = value; !whole {
			t.flag = f
		}
	case len(t.command.Children) > 0:
		i := slices.IndexFunc(t.command.Children, func(n *kong.Node) bool { return n.Name == word })
		if i < 0 {
			return typed{command: &kong.Node{}, given: t.given} // nothing can follow
		}
		t.command = t.command.Children[i]
	default:
		t.place++
	}
	return t
}

// find finds a flag by --name or -n.
func (t typed) find(name string) *kong.Flag {
	for _, f := range t.flags() {
		if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

func (t typed) flags() []*kong.Flag { return slices.Concat(t.command.AllFlags(true)...) }

// candidates are the words that begin with what is typed.
func (t typed) candidates(ask func(socket string) model.Status) []candidate {
	var all []candidate
	switch {
	case t.flag != nil:
		all = t.values(t.flag.Value, t.flag.PlaceHolder, ask)
	case strings.HasPrefix(t.word, "-"):
		for _, f := range t.flags() {
			all = append(all, candidate{"--" + f.Name, f.Help})
		}
	case len(t.command.Children) > 0:
		for _, n := range t.command.Children {
			if !n.Hidden {
				all = append(all, candidate{n.Name, n.Help})
			}
		}
	case t.place < len(t.command.Positional):
		p := t.command.Positional[t.place]
		all = t.values(p, cmp.Or(p.Tag.PlaceHolder, p.Name), ask)
	}
	return slices.DeleteFunc(all, func(c candidate) bool {
		return !strings.HasPrefix(c.value, t.word) && !strings.HasPrefix(c.value, ":")
	})
}

// values are those of a flag or an argument. What it names says what it can be.
func (t typed) values(v *kong.Value, names string, ask func(socket string) model.Status) []candidate {
	var all []candidate
	if v.Enum != "" {
		for _, word := range v.EnumSlice() {
			if word != "" {
				all = append(all, candidate{value: word})
			}
		}
		return all
	}
	switch names {
	case "PATH", "FILE":
		return []candidate{{value: ":files"}}
	case "DIR", "dir":
		return []candidate{{value: ":dirs"}}
	case "IFACE":
		return ownInterfaces()
	case "DIRECTOR", "SERVER", "director/server":
		return t.names(names, ask(cmp.Or(t.given["socket"], api.DefaultSocket)))
	}
	return nil
}

// ownInterfaces are those of this machine; none when they cannot be read.
func ownInterfaces() []candidate {
	links, _ := hostLinks()
	var all []candidate
	for _, l := range links {
		all = append(all, candidate{value: l.Name})
	}
	return all
}

// names are those of the running configuration.
func (t typed) names(kind string, s model.Status) []candidate {
	var all []candidate
	for _, d := range s.Directors {
		if kind == "DIRECTOR" {
			all = append(all, candidate{d.Name, activity(d)})
			continue
		}
		for _, one := range d.Servers {
			switch {
			case kind == "director/server":
				all = append(all, candidate{d.Name + "/" + one.Name, serverState(one)})
			case t.given["director"] == "" || t.given["director"] == d.Name:
				all = append(all, candidate{one.Name, serverState(one)})
			}
		}
	}
	return all
}
