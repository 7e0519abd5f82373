package floors

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "fairlead"

// floor is a package's height. Imports go down only, never sideways. The tens
// are the floors of docs/architecture.md; what stands between two of them is a
// part of the lab that other parts of it use.
var floor = map[string]int{
	"examples":              0, // the embedded example files; beside the floors
	"internal/floors":       0, // this test; beside the floors
	"internal/model":        0,
	"internal/schedule":     10,
	"internal/health":       10,
	"internal/network":      10,
	"internal/flow":         10,
	"internal/config":       20,
	"internal/decide":       20,
	"internal/probe":        30,
	"internal/freshness":    30,
	"internal/viproute":     30,
	"internal/dataplane":    30,
	"internal/reset":        30,
	"internal/hold":         30,
	"internal/program":      29, // what hook and notify run programmes with
	"internal/arp":          29, // of announce and knock and probe
	"internal/nd":           29, // of announce and knock
	"internal/hook":         30,
	"internal/journal":      30,
	"internal/memory":       30,
	"internal/announce":     30,
	"internal/netstate":     30,
	"internal/realserver":   30,
	"internal/api":          30,
	"internal/access":       30,
	"internal/store":        30,
	"internal/metrics":      30,
	"internal/notify":       30,
	"internal/web":          35,
	"internal/web/browser":  36, // tests only
	"internal/desk":         35,
	"internal/nfs":          30,
	"internal/nfsd":         29, // what tests of the parts serve NFSv3 with
	"internal/topology":     28, // what tests of the parts build their networks with
	"internal/rpc":          27, // what nfswire's calls are made of
	"internal/nfswire":      28, // what nfs and nfswalk say
	"internal/nfswalk":      29, // what probes and the doctor ask servers with
	"internal/knock":        30,
	"internal/doctor":       31, // asks the segment with knock
	"internal/ganesha":      29, // what the lab and tests of the parts serve NFS with
	"internal/lab/clock":    30,
	"internal/lab/witness":  35,
	"internal/lab/workload": 35,
	"internal/rounds":       35,
	"internal/lab/crowd":    35,
	"internal/lab/visitor":  35,
	"internal/lab/outcome":  37,
	"internal/lab/site":     38,
	"internal/agent":        40,
	"internal/lab":          40,
	"cmd/fairlead":          50,
	"bench":                 50,
	"vm/record":             30,
	"vm/image":              30,
	"vm/machine":            30,
	"vm/probe":              50,
	"vm/boot":               40,
	"vm/cost/meter":         50,
	"vm/cost":               60,
	"vm":                    60, // the tests of the whole in a virtual machine
}

// pure packages are functions of values.
var pure = []string{"internal/model", "internal/schedule", "internal/health", "internal/network", "internal/flow",
	"internal/config", "internal/decide"}

// impure are the standard packages that a pure one may not import, each with
// everything below it, and allowed the exceptions.
var (
	impure  = []string{"os", "log", "sync", "net", "syscall", "time/tzdata", "math/rand", "crypto/rand", "io/ioutil", "runtime", "unsafe"}
	allowed = []string{"net/netip"}
)

// clockNames are what package time offers beside values: clocks and timers.
var clockNames = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// exits end the process; only func main of a command may.
var exits = map[string][]string{"os": {"Exit"}, "syscall": {"Exit"}, "log": {"Fatal", "Fatalf", "Fatalln"}}

// ebpf is the library that only the data plane and its benchmarks may use.
const ebpf = "github.com/cilium/ebpf"

var ebpfUsers = []string{"internal/dataplane", "bench", "vm/cost/meter"}

// source is one parsed Go file.
type source struct {
	name    string // path in the tree
	dir     string // of the package: its import path without the module
	test    bool
	command bool // package main
	imports []imported
	file    *ast.File
}

type imported struct{ path, name string } // name: as the file calls it

// readTree parses every Go file below the root. Files that begin with a dot or
// an underscore, and testdata, are not part of the programme.
func readTree(tree fs.FS) ([]source, error) {
	var found []source
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() || path.Ext(base) != ".go" {
			return nil
		}
		s, err := readSource(tree, name)
		found = append(found, s)
		return err
	})
	return found, err
}

func readSource(tree fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return source{}, fmt.Errorf("read %s: %w", name, err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		return source{}, fmt.Errorf("parse %s: %w", name, err)
	}
	s := source{
		name:    name,
		dir:     path.Dir(name),
		test:    strings.HasSuffix(name, "_test.go"),
		command: file.Name.Name == "main",
		file:    file,
	}
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("parse %s: %w", name, err)
		}
		i := imported{path: target, name: path.Base(target)}
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		s.imports = append(s.imports, i)
	}
	return s, nil
}

// breaches lists every breach of a rule, in order.
func breaches(sources []source) []string {
	var found []string
	for _, s := range sources {
		for _, rule := range []func(source) []string{listed, downwards, purity, plainTime, oneEBPF, oneExit} {
			found = append(found, rule(s)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func listed(s source) []string {
	if _, ok := floor[s.dir]; ok {
		return nil
	}
	return []string{fmt.Sprintf("package %s has no floor: add it to the table in internal/floors", s.dir)}
}

// downwards holds imports to the floors. A test may also borrow from its own
// floor: the parts that need the network are tested in the lab's namespaces.
func downwards(s source) []string {
	var found []string
	for _, i := range s.imports {
		target, ours := strings.CutPrefix(i.path, module+"/")
		height, known := floor[target]
		switch {
		case !ours || target == s.dir:
		case !known:
			found = append(found, fmt.Sprintf("%s imports %s, which has no floor", s.name, target))
		case height < floor[s.dir] || s.test && height == floor[s.dir]:
		default:
			found = append(found, fmt.Sprintf("%s imports %s: imports go down only, and it is on floor %s, not below floor %s",
				s.name, target, floorName(height), floorName(floor[s.dir])))
		}
	}
	return found
}

func floorName(height int) string { return strconv.FormatFloat(float64(height)/10, 'g', -1, 64) }

func purity(s source) []string {
	if s.test || !slices.Contains(pure, s.dir) {
		return nil
	}
	var found []string
	for _, i := range s.imports {
		if isBelow(i.path, impure) && !slices.Contains(allowed, i.path) {
			found = append(found, fmt.Sprintf("%s imports %s: a pure package does not", s.name, i.path))
		}
		if first, _, _ := strings.Cut(i.path, "/"); strings.Contains(first, ".") {
			found = append(found, fmt.Sprintf("%s imports %s: a pure package needs the standard library only", s.name, i.path))
		}
	}
	return found
}

// isBelow reports whether a package is one of the roots or below one.
func isBelow(target string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return target == root || strings.HasPrefix(target, root+"/")
	})
}

func plainTime(s source) []string {
	if s.test || !slices.Contains(pure, s.dir) {
		return nil
	}
	var found []string
	for _, name := range uses(s, s.file, "time", clockNames) {
		found = append(found, fmt.Sprintf("%s uses %s: in a pure package time comes in as an argument", s.name, name))
	}
	return found
}

func oneEBPF(s source) []string {
	var found []string
	for _, i := range s.imports {
		if isBelow(i.path, []string{ebpf}) && !slices.Contains(ebpfUsers, s.dir) {
			found = append(found, fmt.Sprintf("%s imports %s: only internal/dataplane and its benchmarks do", s.name, i.path))
		}
	}
	return found
}

// oneExit allows only func main of a command to end the process. A test's
// TestMain has to.
func oneExit(s source) []string {
	if s.test {
		return nil
	}
	var found []string
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if ok && s.command && f.Recv == nil && f.Name.Name == "main" {
			continue
		}
		for _, from := range []string{"os", "syscall", "log"} {
			for _, name := range uses(s, decl, from, exits[from]) {
				found = append(found, fmt.Sprintf("%s uses %s: only func main of a command ends the process", s.name, name))
			}
		}
	}
	return found
}

// uses lists which of a package's names a part of a file refers to, whatever
// the file calls the package.
func uses(s source, part ast.Node, target string, names []string) []string {
	at := slices.IndexFunc(s.imports, func(i imported) bool { return i.path == target })
	if at < 0 {
		return nil
	}
	if s.imports[at].name == "." {
		return []string{"all of " + target}
	}
	var found []string
	ast.Inspect(part, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := selector.X.(*ast.Ident)
		if ok && from.Name == s.imports[at].name && slices.Contains(names, selector.Sel.Name) {
			found = append(found, target+"."+selector.Sel.Name)
		}
		return true
	})
	return found
}

// directModules are the modules that the sources import, of those required. The
// commands that go.mod names as tools count too.
func directModules(sources []source, goMod string) []string {
	required, tools := readMod(goMod)
	targets := tools
	for _, s := range sources {
		for _, i := range s.imports {
			targets = append(targets, i.path)
		}
	}
	var found []string
	for _, target := range targets {
		var best string // the longest: modules nest
		for _, m := range required {
			if isBelow(target, []string{m}) {
				best = slices.MaxFunc([]string{best, m}, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
			}
		}
		if best != "" {
			found = append(found, best)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// readMod reads the required modules and the tools of a go.mod.
func readMod(text string) (required, tools []string) {
	block := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case words[0] == ")":
			block = ""
			continue
		case block == "":
			words = words[1:]
		}
		verb := cmp.Or(block, strings.SplitN(strings.TrimSpace(line), " ", 2)[0])
		switch {
		case len(words) == 0:
		case verb == "require":
			required = append(required, words[0])
		case verb == "tool":
			tools = append(tools, words[0])
		}
	}
	return required, tools
}
