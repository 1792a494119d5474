//go:build race

package node_test

// raceEnabled: the race detector takes several times the memory.
const raceEnabled = true
