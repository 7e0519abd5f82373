// Package visitor is a person with a browser, in the lab: it logs in to the
// director's pages, follows the application note's walk-through tab by tab, waits
// for what the Overview shows, and keeps pictures of every page. It runs as a
// process of its own on the director's host, takes orders line by line and tells
// when each was carried out. It knows the pages as people do, by their words; it
// does not test every corner of them (the tests of package web do).
package visitor
