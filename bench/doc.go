// Package bench is the s4-bench command: it runs real servers and the real
// client beside what one would use without them, and says how they compare.
// Nothing imports it.
//
//	Main ── flags ── Run ── a Workload ── a Row: what it Needs, in the Env ── its Sides, by turns, per round:
//	                                         reset peaks ─ measure(Command) ─ check ─ clean
//	                                                 │
//	      WriteTable, WriteJSON, WriteBench ── Report ── Results ── Samples
//
// A Side is s4, its yardstick, or a peer (--peer): a Command that is timed, and
// the servers that work for it. Every side's command is started by the same
// hidden subcommand, measure, and every server is a process of its own, so that
// CPU time and memory are each process's own. An Also of a Comparison makes one more
// Result of the same rounds. A Curve, of the workload scaling, makes Series in the
// stead of Results.
//
// To add a row, write a Row that says what it Needs, and whose Start returns a
// Comparison, and list it in a Workload. What a row makes goes with its RowDir, with
// the keys below s4://bench/, and by Env.AfterRow. What both sides make is checked by
// its TreeSum: that of the Tree that is moved, or of what the yardstick makes before
// (Env.made). To add a workload, list it in workloads. A yardstick that no program of
// the host can be is a hidden subcommand, as bare is. What the host lacks is a NotHere
// of Start, or of Possible, or a note by Env.LeaveOut. Sizes and counts go through
// Options.count, so that --scale makes them small.
//
// All is one package: a row of links or of queries is a few lines of what Env, Needs,
// Side and the trees are, which would all have to be exported to one of its own.
//
// The CPU time of servers has all of them in it, and who does the work of
// loopback's softirqs, sender or receiver, is the kernel's choice: judge by it
// only over many rounds, and look at CPU as a whole, too.
package bench
