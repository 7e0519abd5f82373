// Package floors holds the tests of the repository's layout: which package may
// import which, what the pure ones may not touch, which modules are used, and
// whether the documents' links lead somewhere. It holds nothing else.
//
// The tests parse the sources themselves. A test that asked `go list` would be
// answered from Go's test cache and stay green.
package floors
