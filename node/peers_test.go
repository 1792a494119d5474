package node

import "testing"

// Of two peers that are pushed to by turns, each gets both of its connections.
func TestPeersTakeTurnsOfTheirOwn(t *testing.T) {
	p, q := newPeer(), newPeer()
	used := make(map[*peerConn]int)
	for range 2 * peerConns {
		used[p.turn()]++
		used[q.turn()]++
	}
	if len(used) != 2*peerConns {
		t.Errorf("%d connections are used, want %d", len(used), 2*peerConns)
	}
	for _, n := range used {
		if n != 2 {
			t.Errorf("a connection is used %d times, want 2", n)
		}
	}
}
