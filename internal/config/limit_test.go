package config

import (
	"fmt"
	"strings"
	"testing"
)

// many repeats a text that tells its number, in base 250 for addresses.
func many(n int, format string, args func(i int) []any) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, args(i)...)
	}
	return b.String()
}

func counted(i int) []any { return []any{i} }

// address gives the last two parts of an address of its own.
func address(i int) []any { return []any{1 + i/250, 1 + i%250} }

// What is one too many is said where it is, and only once; the most is accepted.
func TestLimits(t *testing.T) {
	const director = "director d\n mode gateway\n server s 10.200.0.1\n"
	for _, tt := range []struct {
		name string
		most int
		text func(n int) string
		want string
	}{
		{"directors", 128, func(n int) string {
			return many(n, "director d%d\n mode gateway\n server s 10.200.0.1\n", counted)
		}, "385:10: error: too many directors; at most 128 are supported"},
		{"flows", 10000, func(n int) string {
			return director + many(n, "flow f%d deny\n match iface eth0\n", counted)
		}, "20004:6: error: too many flows; at most 10000 are supported"},
		{"rules", 16384, func(n int) string {
			return director + "flow f deny\n" + many(n, " match src 10.0.%d.%d\n", address)
		}, "4:6: error: too many rules, in all flows: 16385; at most 16384 are supported"},
		{"destinations", 10000, func(n int) string {
			return director + "flow f director d\n" + many(n, " match dst 10.0.%d.%d\n", address)
		}, "4:6: error: too many addresses after dst, in all flows: 10001; at most 10000 are supported"},
		{"services", 12000, func(n int) string {
			return director + "flow f director d\n" + many(n, " match dst 10.0.0.1 proto tcp dstport %d\n", func(i int) []any { return []any{i + 1} })
		}, "4:6: error: too many ports of one address, in all flows: 12001; at most 12000 are supported"},
	} {
		for n := tt.most; n <= tt.most+1; n++ {
			_, diags := Load([]Source{{Name: "a.cfg", Text: []byte(tt.text(n))}})
			var errors []string
			for _, d := range diags {
				if d.Severity == Error {
					errors = append(errors, strings.TrimPrefix(strings.SplitN(d.String(), "\n", 2)[0], "a.cfg:"))
				}
			}
			want := ""
			if n > tt.most {
				want = tt.want
			}
			if got := strings.Join(errors, "\n"); got != want {
				t.Errorf("%d %s: got %q, want %q", n, tt.name, got, want)
			}
		}
	}
}
