package main

//go:generate go tool bpf2go -go-package main -target bpfel -cc clang -cflags "-O2 -g -Wall -mcpu=v3" -type draw rig bpf/rig.bpf.c
