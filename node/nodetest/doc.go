// Package nodetest helps tests to run clusters and to break the network
// between their ends. Only tests import it.
//
//	client ──► Proxy ──► node      flips a bit, cuts, or stalls
//
// Everything it starts ends with the test that started it.
package nodetest
