// Package browser holds the tests of the web pages in a real browser, Debian's
// chromium: the pages, a daemon that only pretends, and nothing else. It serves
// no page itself and no programme imports it.
package browser
