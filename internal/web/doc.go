// Package web is the way in from the network: it serves the pages and the API
// over HTTP and HTTPS, and lets in only who has logged in or shows a token. What
// a role may do is the API's affair; who the users are is access's.
package web
