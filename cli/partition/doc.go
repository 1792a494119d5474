// Package partition splits a stream of records over numbered files by a key:
// what a command does before a shuffle. It knows nothing of clusters.
//
//	io.Reader ── ahead ──> chunk ────── place: which file? ──> output: a slot of
//	             (reads)   (records)    (keyer)                memory per file, then
//	                                                           the file
//	                                                      └──> reservoir: of keys,
//	                                                           for split points
//
// Memory is bounded whatever comes: the slots share one budget, a record is kept
// no longer than until its key has been seen, and the rest of it streams. So
// are open files: beyond the limit, a file is opened for each write to it.
package partition
