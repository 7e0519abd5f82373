package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// What an XDP programme answers (include/uapi/linux/bpf.h).
var verdicts = map[string]int32{"drop": 1, "tx": 3}

// attach attaches a programme that gives every frame one verdict, until the process
// is ended: meter xdp drop|tx INTERFACE.
func attach(args []string) (err error) {
	verdict, known := verdicts[args[0]]
	if !known || len(args) != 2 {
		return fmt.Errorf("attach a programme: want drop or tx, and an interface; got %q", args)
	}
	iface, err := net.InterfaceByName(args[1])
	if err != nil {
		return fmt.Errorf("find the interface %s: %w", args[1], err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
		License:      "MIT",
	})
	if err != nil {
		return fmt.Errorf("load a programme: %w", err)
	}
	defer program.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: iface.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return fmt.Errorf("attach a programme to %s: %w", iface.Name, err)
	}
	defer l.Close()
	fmt.Println("attached")
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	<-end
	return nil
}
