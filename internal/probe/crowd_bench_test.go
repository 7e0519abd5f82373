package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"fairlead/internal/model"
)

// BenchmarkFiveThousand checks 5,000 servers once a second, each at an address of its
// own (127.1.0.1 and on), by every kind that needs no network. It tells how late the
// checks were by their schedules, how many failed, the processor time and memory of the
// checks, and how many connections were left in TIME_WAIT. The servers are another process.
func BenchmarkFiveThousand(b *testing.B) {
	const n, interval, long = 5000, time.Second, 10 * time.Second
	if os.Geteuid() != 0 {
		b.Fatal("echo requests need a raw socket, so this benchmark must run as root")
	}
	at := serveCrowd(b)
	kinds := map[string][]model.Test{
		"tcpcheck": {{Kind: model.CheckTCP, Port: at.silent}},
		"mixed": {
			{Kind: model.CheckTCP, Port: at.silent}, {Kind: model.CheckHTTP, URI: "/", Port: at.http},
			{Kind: model.CheckNFS, Version: "3", Port: at.rpc}, {Kind: model.CheckRPC, Program: model.ProgramNFS, Version: "3", Port: at.rpc},
			{Kind: model.CheckICMP},
		},
	}
	for _, name := range []string{"tcpcheck", "mixed"} {
		b.Run(name, func(b *testing.B) {
			targets := make([]Target, n)
			for i := range targets {
				targets[i] = Target{
					Ref:  model.ServerRef{Director: "crowd", Server: fmt.Sprint(i)},
					Addr: netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(i%250 + 1)}), Tests: kinds[name][i%len(kinds[name]) : i%len(kinds[name])+1],
					Interval: interval, Timeout: interval,
				}
			}
			for range b.N {
				measure(b, targets, long, at)
			}
		})
	}
}

func measure(b *testing.B, targets []Target, long time.Duration, at ports) {
	before := cpuTime(b)
	begun, failed := checkAll(b, targets, long)
	cpu := cpuTime(b) - before
	total, late := lateness(begun, targets)
	b.ReportMetric(float64(total)/long.Seconds(), "checks/s")
	for part, name := range map[int]string{50: "median-late-ms", 95: "p95-late-ms", 99: "p99-late-ms"} {
		b.ReportMetric(late[len(late)*part/100].Seconds()*1e3, name)
	}
	b.ReportMetric(cpu.Seconds()/long.Seconds(), "CPUs")
	b.ReportMetric(float64(resident(b))/1e6, "resident-MB")
	b.ReportMetric(float64(timeWait(b, at)), "TIME_WAIT")
	b.ReportMetric(float64(failed), "failed")
	b.ReportMetric(0, "ns/op") // means nothing here
}

// checkAll checks the targets for that long, and returns when each check began, and
// how many failed.
func checkAll(b *testing.B, targets []Target, long time.Duration) (begun map[model.ServerRef][]time.Duration, failed int) {
	h := history{begun: make(map[model.ServerRef][]time.Duration)}
	results := make(chan model.ProbeResult, 64)
	p := New(results, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	defer time.AfterFunc(long, cancel).Stop()
	start := time.Now()
	p.put = func(ctx context.Context, q question) error {
		at := time.Since(start)
		h.mu.Lock()
		h.begun[q.ref] = append(h.begun[q.ref], at)
		h.mu.Unlock()
		return put(ctx, q)
	}
	p.Set(targets)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for {
		select {
		case r := <-results:
			if !r.OK {
				failed++
				b.Log(r.Err)
			}
		case <-ended:
			return h.begun, failed
		}
	}
}

// ports are those of the servers, on all addresses.
type ports struct{ silent, http, rpc uint16 }

// crowdServers in the environment makes this programme the servers.
const crowdServers = "FAIRLEAD_TEST_SERVERS"

func TestMain(m *testing.M) {
	if os.Getenv(crowdServers) == "" {
		os.Exit(m.Run())
	}
	var at ports
	for port, answer := range map[*uint16]func(net.Conn){&at.silent: func(net.Conn) {}, &at.http: answerHTTP, &at.rpc: answerRPC} {
		ln, err := net.Listen("tcp4", ":0")
		if err != nil {
			panic(err)
		}
		*port = netip.MustParseAddrPort(ln.Addr().String()).Port()
		go answerAll(ln, answer)
	}
	fmt.Println(at.silent, at.http, at.rpc)
	io.Copy(io.Discard, os.Stdin) // it ends with the benchmark
}

// serveCrowd starts the servers.
func serveCrowd(b *testing.B) (at ports) {
	b.Helper()
	c := exec.CommandContext(b.Context(), os.Args[0])
	c.Env = append(os.Environ(), crowdServers+"=1")
	out, err := c.StdoutPipe()
	if err == nil {
		_, err = c.StdinPipe() // its end is that of this process, at the latest
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Wait() }) // killed with the benchmark's context
	if _, err := fmt.Fscan(out, &at.silent, &at.http, &at.rpc); err != nil {
		b.Fatal(err)
	}
	return at
}

// answerAll answers each connection so, and waits for the client to end it.
func answerAll(ln net.Listener, answer func(net.Conn)) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			answer(conn)
			buffer := readBuffers.Get().(*[512]byte)
			defer readBuffers.Put(buffer)
			for err == nil {
				_, err = conn.Read(buffer[:])
			}
		}()
	}
}

var readBuffers = sync.Pool{New: func() any { return new([512]byte) }}

func answerHTTP(conn net.Conn) {
	buffer := readBuffers.Get().(*[512]byte)
	defer readBuffers.Put(buffer)
	if _, err := conn.Read(buffer[:]); err == nil {
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	}
}

// answerRPC answers one call with success and no result (RFC 5531 section 9).
func answerRPC(conn net.Conn) {
	buffer := readBuffers.Get().(*[512]byte)
	defer readBuffers.Put(buffer)
	if n, err := conn.Read(buffer[:]); err != nil || n < 8 {
		return
	}
	reply := binary.BigEndian.AppendUint32(nil, 1<<31|24)
	reply = append(reply, buffer[4:8]...) // its number
	conn.Write(binary.BigEndian.AppendUint32(reply, 1)[:12:12])
	conn.Write(make([]byte, 16))
}

// resident is what this process has in memory, in bytes.
func resident(b *testing.B) int {
	b.Helper()
	var total, pages int
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &total, &pages)
	}
	if err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// timeWait counts the connections at these ports that wait in TIME_WAIT, of either
// side. It is the sixth state in the kernel's table (include/net/tcp_states.h).
func timeWait(b *testing.B, at ports) (n int) {
	b.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) < 4 || string(words[3]) != "06" {
			continue
		}
		for _, port := range []uint16{at.silent, at.http, at.rpc} {
			if end := fmt.Appendf(nil, ":%04X", port); bytes.HasSuffix(words[1], end) || bytes.HasSuffix(words[2], end) {
				n++
			}
		}
	}
	return n
}
