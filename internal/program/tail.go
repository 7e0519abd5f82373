package program

import (
	"strings"
	"sync"
)

// kept is how much of the output is kept, in bytes.
const kept = 4 << 10

// tail keeps the last of what is written to it.
type tail struct {
	mu  sync.Mutex // guards the following
	buf []byte
	cut bool // something was thrown away
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[max(0, len(b)-kept):]...)
	over := len(t.buf) - kept
	t.cut = t.cut || over > 0 || len(b) > kept
	if over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// String is what was kept, as text that does not harm a terminal.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(string(t.buf), "?")) {
		lines = append(lines, strings.TrimRight(Plain(line), " "))
	}
	s := strings.Join(lines, "\n")
	if t.cut {
		s = "…" + s
	}
	return s
}
