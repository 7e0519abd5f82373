// Package program runs a programme of the administrator as root: only one that
// is root's alone to change, with an environment that holds nothing of the
// daemon's own, and never longer than it may take. It does not know what the
// programme is for, and never runs one again by itself.
//
// Exit code 0 means success. What it prints is kept for the error, the last 4 KiB
// of it. At its timeout its whole process group is ended. Processes that it leaves
// behind after a success are left alone, and are not waited for.
package program
