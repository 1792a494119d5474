// Package bench is the s4-bench command: it runs real servers and the real
// client beside what one would use without them, and says how they compare.
// Nothing imports it.
//
//	Main ── flags ── Run ──┬── Env: programs, directory, Source, Cluster
//	                       └── a Workload ── a Row ── its Sides, in turns, per round:
//	                             reset peaks ─ measure(Command) ─ check ─ clean
//	                                                 │
//	      WriteTable, WriteJSON, WriteBench ── Report ── Results ── Samples
//
// An Also of a Comparison makes one more Result of the same rounds. A Curve, of the
// workload scaling, makes Series in the stead of Results. Rows of many keys take a
// Tree from the Env, and check what came by its TreeSum.
//
// A Side is s4, its yardstick, or a peer (--peer): a Command that is timed, and
// the servers that work for it. Every side's command is started by the same
// hidden subcommand, measure, and every server is a process of its own, so that
// CPU time and memory are each process's own.
//
// To add a row, write a Row whose Start returns a Comparison, of S4 and Yardstick by
// name, and list it in a Workload. What a row makes goes with its RowDir, with the
// keys below s4://bench/, and by Env.AfterRow. To add a workload, list it in
// workloads. A yardstick that no program of the host can be is a hidden subcommand,
// as bare-send and bare-recv are. What the host lacks is a NotHere of Start, or of
// the Workload's Needs if no row can do without, or a note by Env.LeaveOut. Sizes
// and counts go through Options.count, so that --scale makes them small.
//
// All is one package: the workloads of links and of queries share the trees, the
// data and the checks of the others, which would all have to be exported.
//
// The CPU time of servers has all of them in it, and who does the work of
// loopback's softirqs, sender or receiver, is the kernel's choice: judge by it
// only over many rounds, and look at CPU as a whole, too.
//
// Writers of results need a Report and nothing else.
package bench
