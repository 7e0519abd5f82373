package probe

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fairlead/internal/ganesha"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// exported is a directory with a canary.
func exported(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "canary"), []byte("tweet\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestNFS asks nfs-ganesha, over its own address.
func TestNFS(t *testing.T) {
	root, dir := exported(t), t.TempDir() // removed after the server has ended
	director, server := segment(t, topology.Spec{Name: "server", Addr: serverAddr, VIP: vip})
	cmd, err := ganesha.Command(ganesha.Options{Dir: dir, Root: root, Versions: "3, 4"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(cmd); err != nil {
		t.Fatal(err)
	}
	put := func(test model.Test, timeout time.Duration) string {
		of := model.Check{Tests: []model.Test{test}}.For(model.Server{})
		return from(t, director, Target{}.question(of[0], serverAddr.Addr()), timeout)
	}
	begin := time.Now() // it has a grace period
	for whole := (model.Test{Kind: model.CheckNFS, Version: "4.1", Export: "/export", File: "/canary"}); put(whole, patience) != ""; {
		if time.Since(begin) > 3*patience {
			t.Fatalf("nfs-ganesha does not begin: %s", put(whole, patience))
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, tt := range []struct {
		test model.Test
		want string // a part of it; "" passes
	}{
		{model.Test{Kind: model.CheckNFS, Version: "3"}, ""},
		{model.Test{Kind: model.CheckNFS, Version: "3", Export: root, File: "/canary"}, ""},
		{model.Test{Kind: model.CheckNFS, Version: "4"}, ""},
		{model.Test{Kind: model.CheckNFS, Version: "4.2", Export: "/export"}, ""},
		{model.Test{Kind: model.CheckNFS, Version: "4", Export: "/export", File: "/cat"},
			"192.168.10.100:2049 does not pass nfscheck version 4 export /export file /cat: the file /cat in the export /export is not there"},
		{model.Test{Kind: model.CheckNFS, Version: "3", Export: "/data"}, "the export /data is not there"},
		{model.Test{Kind: model.CheckNFS, Version: "4.1", Export: "/data"}, "the export /data is not there"},
		{model.Test{Kind: model.CheckNFS, Version: "3", Port: 2050}, "NFS, port 2050: connection refused: nothing listens on the port"},
		{model.Test{Kind: model.CheckRPC, Program: model.ProgramNFS, Version: "3"}, ""},
		{model.Test{Kind: model.CheckRPC, Program: model.ProgramNFS, Version: "4"}, ""},
		{model.Test{Kind: model.CheckRPC, Program: model.ProgramNFS, Version: "2"}, "the server offers versions 3 to 4 of nfs, not 2"},
		{model.Test{Kind: model.CheckRPC, Program: model.ProgramPortmap, Version: "2", UDP: true}, ""},
		{model.Test{Kind: model.CheckRPC, Program: 100005, Version: "3"}, ""},
		{model.Test{Kind: model.CheckRPC, Program: 100005, Version: "3", UDP: true}, ""},
		{model.Test{Kind: model.CheckRPC, Program: 100021, Version: "4"},
			"192.168.10.100 does not pass rpccheck program nlockmgr version 4: its rpcbind does not know of it"},
		{model.Test{Kind: model.CheckRPC, Program: 100021, Version: "4", Port: 2049}, "port 2049: the server does not offer the programme nlockmgr"},
	} {
		if got := put(tt.test, patience); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got  %q\nwant %q", tt.test, got, tt.want)
		}
	}
}

// TestHostileRPC: what a server may send instead of an answer.
func TestHostileRPC(t *testing.T) {
	const late = ": no answer in time"
	for name, tt := range map[string]struct {
		speak func(net.Conn)
		want  string // the end of it
	}{
		"says nothing":    {hostile["says nothing"], late},
		"ends at once":    {hostile["ends at once"], "the server "},
		"slow-loris":      {func(c net.Conn) { drip(c, "\x80") }, ""},
		"4 GiB":           {func(c net.Conn) { flood(c, "\xff\xff\xff\xff") }, "malformed reply"},
		"2 GiB of pieces": {func(c net.Conn) { flood(c, "\x00\x00\x00\x01x") }, "malformed reply"},
		"garbage":         {func(c net.Conn) { flood(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, "malformed reply"},
		"empty records":   {func(c net.Conn) { flood(c, "\x80\x00\x00\x00") }, "malformed reply"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, tt.speak)
			for _, test := range []model.Test{
				{Kind: model.CheckRPC, Program: model.ProgramNFS, Version: "3"},
				{Kind: model.CheckNFS, Version: "3"},
				{Kind: model.CheckNFS, Version: "4.1", Export: "/export", File: "/canary"},
			} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begin := time.Now()
				got := askOnce(t, addr, test, short)
				runtime.ReadMemStats(&after)
				head := fmt.Sprintf("SERVER does not pass %s: ", test)
				if !strings.HasPrefix(got, head) || !strings.Contains(got, tt.want) {
					t.Errorf("%s: got  %q\nwant %q", test, got, tt.want)
				}
				if took := time.Since(begin); took > patience {
					t.Errorf("%s took %v", test, took)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
					t.Errorf("%s used %d bytes", test, used)
				}
			}
		})
	}
}
