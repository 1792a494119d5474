//go:build race

package node

// RaceEnabled: the race detector takes several times the memory and the time.
const RaceEnabled = true
