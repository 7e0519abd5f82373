package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// use is what a process has used so far.
type use struct {
	cpu    time.Duration
	memory int64 // bytes at most
}

// tick is the unit of CPU times (USER_HZ of proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// useOf reads what a process has used.
func useOf(pid int) (u use, err error) {
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
			u.cpu += time.Duration(n) * tick
		}
	}
	_, rest, _ = strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &u.memory); err != nil {
		return u, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	u.memory <<= 10 // it is told in KiB
	return u, nil
}
