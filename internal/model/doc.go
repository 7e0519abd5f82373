// Package model is the vocabulary of Fairlead: the checked configuration, the
// facts that are observed, what is desired of the kernel, and the status that
// people see. It holds values and their names only: it reads nothing, decides
// nothing and changes nothing.
package model
