package node

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nathants/s4"
)

// However many nodes push to each other, there are two connections to each and not two
// for every pair.
func TestLocalNodesShareConnections(t *testing.T) {
	const nodes = 8
	l, err := StartLocal(t.TempDir(), nodes, 0, Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	defer func() {
		if err := l.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	client := s4.NewClient(l.Cluster, nil)
	for i := range nodes {
		if err := client.Put(ctx, fmt.Sprintf("s4://b/in/%d", i), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	res, err := client.MapToN(ctx, "s4://b/in", "s4://b/out", "for i in 0 1 2 3 4 5 6 7; do echo $filename > $i; echo $i; done", nil)
	if err != nil || res.Keys != nodes*nodes {
		t.Fatalf("%+v, %v", res, err)
	}
	client.Close()
	// The client's connections may take a moment to go.
	open := 0
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		open = 0
		for _, n := range l.Nodes {
			n.mu.Lock()
			open += len(n.conns)
			n.mu.Unlock()
		}
		if open <= nodes*peerConns {
			return
		}
	}
	t.Errorf("%d connections are kept, want at most %d", open, nodes*peerConns)
}

// A server asks all others, and not all of them at once.
func TestEachServer(t *testing.T) {
	n := &Node{cfg: Config{Index: 7, Cluster: &s4.Cluster{Servers: make([]s4.Server, 100)}}}
	var now, most atomic.Int32
	asked := make([]atomic.Int32, 100)
	n.eachPeer(func(i int) {
		if at := now.Add(1); at > most.Load() {
			most.Store(at)
		}
		time.Sleep(time.Millisecond)
		asked[i].Add(1)
		now.Add(-1)
	})
	if most.Load() > askAtOnce {
		t.Errorf("%d servers were asked at once, want at most %d", most.Load(), askAtOnce)
	}
	for i := range asked {
		want := int32(1)
		if i == 7 {
			want = 0
		}
		if got := asked[i].Load(); got != want {
			t.Errorf("server %d was asked %d times, want %d", i, got, want)
		}
	}
}
