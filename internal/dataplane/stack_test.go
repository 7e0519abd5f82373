package dataplane

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// What a kernel allows: all frames of a chain of calls together, each rounded up
// (kernel/bpf/verifier.c, check_max_stack_depth; newer ones round less).
const (
	mostStack  = 512
	frameUnit  = 32
	mostFrames = 8
)

// frame is what one function of a programme takes from the stack, and whom it calls.
type frame struct {
	bytes int
	calls []string
}

// frames reads the functions of a programme as the verifier does: how far below
// the frame pointer they reach.
func frames(insns asm.Instructions) map[string]*frame {
	all := make(map[string]*frame)
	var now *frame
	copied := make(map[asm.Register]bool) // registers that hold the frame pointer
	for i := range insns {
		ins := &insns[i]
		if name := ins.Symbol(); name != "" && all[name] == nil {
			now = &frame{}
			all[name] = now
		}
		reach := 0
		class := ins.OpCode.Class()
		switch {
		case ins.IsFunctionCall():
			now.calls = append(now.calls, ins.Reference())
		case class.IsLoad() && ins.Src == asm.RFP, class.IsStore() && ins.Dst == asm.RFP:
			reach = -int(ins.Offset)
		case class.IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.RegSource && ins.Src == asm.RFP:
			copied[ins.Dst] = true
			continue
		case class.IsALU() && ins.OpCode.ALUOp() == asm.Add && ins.OpCode.Source() == asm.ImmSource && copied[ins.Dst]:
			reach = -int(ins.Constant)
		}
		if class.IsALU() {
			delete(copied, ins.Dst)
		}
		now.bytes = max(now.bytes, reach)
	}
	return all
}

// deepest is the chain of calls that takes most, from a function on.
func deepest(all map[string]*frame, name string) (bytes int, chain []string) {
	for _, callee := range all[name].calls {
		if b, c := deepest(all, callee); b > bytes {
			bytes, chain = b, c
		}
	}
	own := (max(all[name].bytes, 1) + frameUnit - 1) / frameUnit * frameUnit
	return own + bytes, append([]string{name}, chain...)
}

// TestStack: kernel 6.1 would refuse what a newer one loads.
func TestStack(t *testing.T) {
	spec, err := loadDirector()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range spec.Programs {
		if p.Type == ebpf.UnspecifiedProgram {
			continue
		}
		all := frames(p.Instructions)
		bytes, chain := deepest(all, p.Instructions[0].Symbol())
		if bytes > mostStack || len(chain) > mostFrames {
			t.Errorf("%s: %d bytes of stack, and at most %d are allowed", name, bytes, mostStack)
			for _, f := range chain {
				t.Errorf("  %4d %s", all[f].bytes, f)
			}
		}
		t.Logf("%s: %d of %d bytes of stack in %v", name, bytes, mostStack, chain)
	}
}
