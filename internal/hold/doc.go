// Package hold keeps the SYNs that clients send while a switch is under way, and
// sends frames on. A client whose SYN was dropped repeats it only after 1, 3
// and 7 s; one that was refused makes its NFS client wait even longer. It does
// not decide which SYNs are kept, where they go, or when.
package hold
