// Package cli is the s4 command: verbs, flags, output and exit codes. It only
// turns words into calls of package s4 and results into lines; anything a
// program might want to do without a terminal belongs there.
//
//	Main ── cobra ── a file per verb ── s4.Client, or partition.Partitioner
//	  └── report: the one place that words an error for the user
//
// What a shell may complete follows from names in usage lines, see complete.go.
package cli
