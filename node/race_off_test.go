//go:build !race

package node

const RaceEnabled = false
