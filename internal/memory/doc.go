// Package memory keeps on disk what must survive a restart and a reboot: which
// server of each director is active, since when and why, and what operators
// ordered. It does not decide what is worth remembering, nor what is to be done
// when the memory is lost: it only tells a first start from a loss.
//
// The file is written whole, beside the old one, and takes its name once it is
// safely on the disk. So whatever happens, one of both is there and whole. Its
// first line has a magic word, the version of the layout and a checksum of the
// rest, which is JSON.
package memory
