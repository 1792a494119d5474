//go:build race

package chaos

// raceEnabled: the race detector takes several times the memory.
const raceEnabled = true
