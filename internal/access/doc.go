// Package access knows who may use the pages and the API: users and their
// passwords, tokens, the role of each, the sessions of those who are logged in,
// and how often somebody may guess. It speaks no HTTP, and what a role may do is
// not its affair.
package access
