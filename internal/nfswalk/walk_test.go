package nfswalk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/ganesha"
	"fairlead/internal/nfsd"
	"fairlead/internal/rpc"
	"fairlead/internal/topology"
)

const testPrefix = "fairlead-nfswalk-test"

// canary is the file that is read.
const canary = "deep/canary"

// served is a server on a segment, and a way to it.
type served struct {
	root string
	dial Dial
}

// tree makes the directory that servers export.
func tree(t *testing.T) string {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, canary), []byte("I sing"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// startGanesha starts nfs-ganesha on a host of its own, and waits until it answers.
func startGanesha(t *testing.T, o ganesha.Options) served {
	t.Helper()
	o.Dir, o.Root = t.TempDir(), tree(t)
	segment, err := topology.Build(testPrefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := segment.Close(); err != nil {
			t.Error(err)
		}
	})
	var hosts [2]*topology.Host
	for i, name := range []string{"director", "server"} {
		if hosts[i], err = segment.Add(topology.Spec{Name: name, Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)}); err != nil {
			t.Fatal(err)
		}
	}
	cmd, err := ganesha.Command(o)
	if err != nil {
		t.Fatal(err)
	}
	process, err := hosts[1].Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s := served{o.Root, func(ctx context.Context, network string, port uint16) (c net.Conn, err error) {
		err = hosts[0].Do(func() (err error) {
			c, err = rpc.Privileged(func(local uint16) (net.Conn, error) {
				d := net.Dialer{LocalAddr: &net.TCPAddr{Port: int(local)}}
				if network == "udp" {
					d.LocalAddr = &net.UDPAddr{Port: int(local)}
				}
				return d.DialContext(ctx, network, fmt.Sprintf("192.0.2.2:%d", port))
			})
			return err
		})
		return c, err
	}}
	s.ready(t, process.Done(), filepath.Join(o.Dir, "log"), o.Versions)
	return s
}

func (s served) ready(t *testing.T, done <-chan struct{}, log, versions string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	target := Target{Version: V40, Export: "/export"}
	if versions == "3" {
		target = Target{Version: V3, Export: s.root}
	}
	for {
		err := Walk(ctx, s.dial, target).Err()
		if err == nil {
			return
		}
		select {
		case <-done:
			text, _ := os.ReadFile(log)
			t.Fatalf("the server ended; its log: %s", text)
		case <-ctx.Done():
			text, _ := os.ReadFile(log)
			t.Fatalf("the server does not answer: %v; its log: %s", err, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func steps(r Report) (names []string) {
	for _, s := range r.Steps {
		names = append(names, s.Name)
	}
	return names
}

func TestGanesha(t *testing.T) {
	s := startGanesha(t, ganesha.Options{Versions: "3, 4"})
	three := []string{"connect", "NULL", "connect", "GETPORT", "connect", "MOUNT", "UMNT", "GETATTR", "LOOKUP", "LOOKUP", "GETATTR", "READ"}
	four := []string{"connect", "NULL", "LOOKUP", "GETATTR", "LOOKUP", "READ"}
	session := slices.Insert(slices.Clone(four), 2, "EXCHANGE_ID", "CREATE_SESSION")
	for _, tt := range []struct {
		name   string
		target Target
		want   []string
	}{
		{"3", Target{Version: V3, Export: s.root, File: canary}, three},
		{"3 over UDP", Target{Version: V3, Export: s.root, File: canary, UDP: true}, three},
		{"3, port of MOUNT known", Target{Version: V3, Export: s.root, File: "/" + canary, MountPort: ganesha.MountPort}, slices.Delete(slices.Clone(three), 2, 4)},
		{"3, NULL only", Target{Version: V3}, three[:2]},
		{"4.0", Target{Version: V40, Export: "/export", File: canary}, four},
		{"4.1", Target{Version: V41, Export: "/export", File: canary}, session},
		{"4.2", Target{Version: V42, Export: "/export", File: canary}, session},
		{"4.1, the root of the exports", Target{Version: V41}, session[:6]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r := Walk(ctx, s.dial, tt.target)
			if err := r.Err(); err != nil {
				t.Fatalf("%v: %v", steps(r), err)
			}
			if got := steps(r); !slices.Equal(got, tt.want) {
				t.Errorf("steps %v, want %v", got, tt.want)
			}
			if tt.target.File != "" && (string(r.Data) != "I sing" || r.FileSize != 6 || time.Since(r.Changed).Abs() > time.Minute) {
				t.Errorf("read %q of %d bytes, changed %v", r.Data, r.FileSize, r.Changed)
			}
			if tt.target.Version != V3 && r.Lease != 5*time.Second {
				t.Errorf("lease %v, want 5s", r.Lease)
			}
			if tt.target.Version >= V41 && r.Scope == "" {
				t.Error("no server scope")
			}
			if (r.Root == "") != (tt.name == "3, NULL only") {
				t.Errorf("root handle %x", r.Root)
			}
		})
	}
	t.Run("lists", s.testLists)
	t.Run("words", s.testWords)
	t.Run("update by 3", func(t *testing.T) { testUpdate(t, s, Target{Version: V3, Export: s.root}) })
	for _, v := range []Version{V40, V41, V42} {
		t.Run("update by "+v.String(), func(t *testing.T) {
			if err := os.Remove(filepath.Join(s.root, "deep/beat")); err != nil {
				t.Fatal(err)
			}
			testUpdate(t, s, Target{Version: v, Export: "/export"})
		})
	}
}

// testLists asks a healthy server for everything that it has.
func (s served) testLists(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, version := range []Version{V40, V41} {
		roots, r := Tree(ctx, s.dial, Target{Version: version})
		want := Walk(ctx, s.dial, Target{Version: version, Export: "/export"}).Root
		if r.Err() != nil || len(roots) != 2 || roots["/"] != r.Root || roots["/export"] != want {
			t.Errorf("version %v: %x, %v; want / and /export", version, roots, r.Err())
		}
	}
	exports, err := Exports(ctx, s.dial, Target{})
	if err != nil || len(exports) != 1 || exports[0].Path != s.root {
		t.Errorf("exports %v, %v; want %s", exports, err, s.root)
	}
	list, err := Dump(ctx, s.dial, Target{})
	if err != nil || !slices.Contains(list, rpc.Mapping{Program: rpc.ProgramMount, Version: 3, Protocol: rpc.TCP, Port: ganesha.MountPort}) {
		t.Errorf("rpcbind's list %v, %v", list, err)
	}
	if err := Offers(ctx, s.dial, Target{Version: V3}); err != nil {
		t.Errorf("version 3: %v", err)
	}
}

// testWords asks a healthy server for what it does not have.
func (s served) testWords(t *testing.T) {
	for _, tt := range []struct {
		name   string
		target Target
		want   string
	}{
		{"3, export", Target{Version: V3, Export: "/data"}, "the export /data is not there, or not for this director (MOUNT: permission denied (status 13))"},
		{"3, file", Target{Version: V3, Export: s.root, File: "gone"}, "the file gone in the export " + s.root + " is not there (LOOKUP: no such file or directory (status 2))"},
		{"3, directory", Target{Version: V3, Export: s.root, File: "deep"}, "the file deep in the export " + s.root + " is not a regular file"},
		{"3, NFS port", Target{Version: V3, Port: 2050}, "NFS, port 2050: connection refused: nothing listens on the port"},
		{"3, rpcbind port", Target{Version: V3, Export: "/data", PortmapPort: 112}, "rpcbind, port 112: connection refused: nothing listens on the port"},
		{"3, MOUNT at another programme's port", Target{Version: V3, Export: "/data", MountPort: 111}, "MOUNT: the server does not offer the programme mountd"},
		{"4.0, export", Target{Version: V40, Export: "/data"}, "the export /data is not there (LOOKUP: no such file or directory (status 2))"},
		{"4.1, export", Target{Version: V41, Export: "/export/deep/canary"}, "the export /export/deep/canary is not a directory"},
		{"4.1, file", Target{Version: V41, Export: "/export", File: "gone"}, "the file gone in the export /export is not there (LOOKUP: no such file or directory (status 2))"},
		{"4.1, path through a file", Target{Version: V41, Export: "/export", File: canary + "/more"}, "the file deep/canary/more in the export /export is not there (LOOKUP: not a directory (status 20))"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			r := Walk(ctx, s.dial, tt.target)
			if err := r.Err(); err == nil || err.Error() != tt.want {
				t.Errorf("%v: got %v\nwant %s", steps(r), err, tt.want)
			}
		})
	}
}

// TestVersionThatIsNotServed asks a server of version 3 for 4, and one of 4 for 3.
func TestVersionThatIsNotServed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, tt := range []struct {
		serves string
		ask    Version
		want   string
	}{
		{"3", V41, "NULL: the server offers version 3 of nfs, not 4"},
		{"4", V3, "NULL: the server offers version 4 of nfs, not 3"},
	} {
		t.Run(tt.serves, func(t *testing.T) {
			s := startGanesha(t, ganesha.Options{Versions: tt.serves})
			if err := Walk(ctx, s.dial, Target{Version: tt.ask}).Err(); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestEmbedded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	root := tree(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close() // its port is most likely still free
	ended := make(chan error, 1)
	go func() {
		ended <- nfsd.Serve(ctx, nfsd.Options{Root: root, Export: 77, Listen: addr.String()}, slog.New(slog.DiscardHandler))
	}()
	defer func() {
		cancel()
		<-ended
	}()
	dial := func(ctx context.Context, network string, port uint16) (net.Conn, error) {
		for {
			c, err := new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil || ctx.Err() != nil || len(ended) > 0 {
				return c, err
			}
		}
	}
	ask, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	port := uint16(addr.Port)
	r := Walk(ask, dial, Target{Version: V3, Export: nfsd.ExportPath, File: canary, Port: port, MountPort: port})
	if r.Err() != nil || string(r.Data) != "I sing" {
		t.Errorf("%v: %v, read %q", steps(r), r.Err(), r.Data)
	}
	r = Walk(ask, dial, Target{Version: V3, Export: "/data", Port: port, MountPort: port})
	if err := r.Err(); err == nil || !strings.HasPrefix(err.Error(), "the export /data is not there") {
		t.Errorf("%v: %v", steps(r), err)
	}
	t.Run("update", func(t *testing.T) {
		testUpdate(t, served{root, dial}, Target{Version: V3, Export: nfsd.ExportPath, Port: port, MountPort: port})
	})
}
