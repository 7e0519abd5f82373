// Package store keeps the configuration's documents: the files that are read, the
// draft that is not in force, and the versions that once were. It does not know what
// the documents mean, decides nothing about who may change them, and brings nothing
// into force.
//
// Documents are replaced together or not at all. The new texts, and copies of the old
// ones, are first written beside the files and made durable. Then a small file in the
// state directory says what is about to happen, and the new ones take their names one
// after the other. Who is stopped in between leaves that file behind: the next Read
// finds it, and undoes or finishes what was begun. No reader sees one half.
//
// What is kept in the state directory has a checksum in its first line. What is torn
// there is passed over, and Remarks says so.
package store
