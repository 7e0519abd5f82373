package dataplane

//go:generate go tool bpf2go -go-package dataplane -target bpfel -cc clang -cflags "-O2 -g -Wall -mcpu=v3" -type captured -type vip -type vip6 -type vip_flags -type service -type extent -type flow_set -type rule -type rule_lists -type row -type policy -type mode -type remote -type choice -type choice_record -type settings -type server -type shares -type scheduler -type chooser -type template -type template_key -type load -type sighting -type sighting_kind -type slot_state -type verdict -type condition -type choice_flags director ../../bpf/director.bpf.c
