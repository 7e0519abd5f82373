package site

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Use is what a process has used so far.
type Use struct {
	CPU    time.Duration
	Memory int64 // bytes at most
}

// tick is the unit of CPU times (USER_HZ of proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// UsedBy reads what a process has used.
func UsedBy(pid int) (u Use, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	// The name in parentheses may hold anything; fields 14 and 15 are the times.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	for _, i := range []int{14, 15} {
		if i-3 < len(fields) {
			n, err := strconv.ParseInt(fields[i-3], 10, 64)
			if err != nil {
				return u, fmt.Errorf("read what process %d uses: %w", pid, err)
			}
			u.CPU += time.Duration(n) * tick
		}
	}
	_, rest, _ = strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &u.Memory); err != nil {
		return u, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	u.Memory <<= 10 // it is told in KiB
	return u, nil
}
