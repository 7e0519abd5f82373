package witness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
	"fairlead/internal/model"
)

// The ring that the kernel writes to (Documentation/networking/packet_mmap.rst).
// It holds some 100,000 heads of packets, more than a second of the lab's traffic.
const (
	blockSize = 1 << 20
	blocks    = 16
	frameSize = 2048 // of no meaning in version 3, but checked
	retire    = 20   // ms until a block that is not full is handed over
	pollTime  = 100  // ms between looks at the context
)

// Offsets in a block (struct tpacket_block_desc) and in the header of a packet
// (struct tpacket3_hdr) of linux/if_packet.h.
const (
	offStatus  = 8
	offCount   = 12
	offFirst   = 16
	offNext    = 0
	offSeconds = 4
	offNanos   = 8
	offKept    = 12
	offLength  = 16
	offFrame   = 24
)

// Tap sees what is on the cable of one server.
type Tap struct {
	server uint8
	mac    model.MAC
	own    owned
	fd     int
	ring   []byte
	block  int // the next one to be read
	drops  int // packets that found no room in the ring
}

// OpenTap taps the interface at the switch's end of a server's cable, in the
// network namespace of the calling thread. The director's own packets, which are its
// checks, are not looked at. From now on nothing is missed as long as Run runs in time.
func OpenTap(ifindex, server int, mac model.MAC, vip, director netip.Addr) (*Tap, error) {
	t := &Tap{server: uint8(server), mac: mac, own: owned{vip, director}}
	var err error
	// Protocol 0: nothing arrives until bind, when the filter stands.
	if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if err := t.prepare(ifindex); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Tap) prepare(ifindex int) error {
	program, err := filter(t.own.vip)
	if err != nil {
		return err
	}
	fprog := &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(t.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, fprog); err != nil {
		return fmt.Errorf("attach the capture's filter: %w", err)
	}
	if err := unix.SetsockoptInt(t.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("choose the version of the capture's ring: %w", err)
	}
	request := &unix.TpacketReq3{Block_size: blockSize, Block_nr: blocks, Frame_size: frameSize,
		Frame_nr: blockSize / frameSize * blocks, Retire_blk_tov: retire}
	if err := unix.SetsockoptTpacketReq3(t.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, request); err != nil {
		return fmt.Errorf("make the capture's ring: %w", err)
	}
	t.ring, err = unix.Mmap(t.fd, 0, blockSize*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the capture's ring: %w", err)
	}
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
	if err := unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifindex}); err != nil {
		return fmt.Errorf("bind the capture to interface %d: %w", ifindex, err)
	}
	return nil
}

// Run hands every packet to see, in order, until ctx ends; then once more what
// came until that instant.
func (t *Tap) Run(ctx context.Context, see func(Packet)) error {
	for last := false; ; {
		if err := t.wait(); err != nil {
			return err
		}
		for t.readBlock(see) {
		}
		if err := t.count(); err != nil {
			return err
		}
		if last {
			return nil
		}
		// The kernel hands over within the retire time, so one more wait is enough.
		last = ctx.Err() != nil
	}
}

// wait returns when a block is ready, or after some time.
func (t *Tap) wait() error {
	fds := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN | unix.POLLERR}}
	if _, err := unix.Poll(fds, pollTime); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for packets: %w", err)
	}
	if fds[0].Revents&unix.POLLERR == 0 {
		return nil
	}
	// Asking for the error takes it away. A cable that was cut is none: the
	// socket sees the interface again when it comes back.
	errno, err := unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 && unix.Errno(errno) != unix.ENETDOWN {
		err = unix.Errno(errno)
	}
	if err != nil {
		return fmt.Errorf("capture packets: %w", err)
	}
	return nil
}

// readBlock reads the next block, if it is ready, and gives it back.
func (t *Tap) readBlock(see func(Packet)) bool {
	b := t.ring[t.block*blockSize:][:blockSize]
	status := (*uint32)(unsafe.Pointer(&b[offStatus]))
	if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
		return false
	}
	u32 := func(at uint32) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	skew, at := realTimeSkew(), u32(offFirst)
	for range u32(offCount) {
		mac := uint32(binary.NativeEndian.Uint16(b[at+offFrame:]))
		frame := b[at+mac:][:u32(at+offKept)]
		if p, ok := read(frame, int(u32(at+offLength)), t.mac, t.own); ok {
			p.Server = t.server
			p.At = clock.Instant(int64(u32(at+offSeconds))*1e9+int64(u32(at+offNanos))) - skew
			see(p)
		}
		at += u32(at + offNext)
	}
	atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
	t.block = (t.block + 1) % blocks
	return true
}

// realTimeSkew is what the time of day, in which the kernel gives the instants of
// packets, is ahead of the monotonic clock.
func realTimeSkew() clock.Instant {
	var now unix.Timespec
	before := clock.Now()
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		panic(err) // the clock is always there: see clock_gettime(2)
	}
	return clock.Instant(now.Nano()) - before/2 - clock.Now()/2
}

// count adds up what the kernel dropped; asking sets its count to 0.
func (t *Tap) count() error {
	stats, err := unix.GetsockoptTpacketStatsV3(t.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("ask for dropped packets: %w", err)
	}
	t.drops += int(stats.Drops)
	return nil
}

// Drops counts the packets that were not seen for lack of room. It may be asked
// for once Run has returned.
func (t *Tap) Drops() int { return t.drops }

// Close gives the interface up. Run must have returned.
func (t *Tap) Close() error {
	var err error
	if t.ring != nil {
		err = unix.Munmap(t.ring)
	}
	return errors.Join(err, unix.Close(t.fd))
}
