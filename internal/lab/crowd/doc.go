// Package crowd holds many TCP connections open on which nothing happens, and
// keeps when each of them was reset. It has the server's side, too: one that says
// nothing.
//
// It sends no data, never connects again, and judges nothing.
package crowd
