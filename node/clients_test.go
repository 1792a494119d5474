package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// Exactly one of two writers wins, and the other is told.
func TestWritersRaceOverTheNetwork(t *testing.T) {
	c, _ := start(t, node.Config{})
	clients := []*s4.Client{c.Client(t, nil), c.Client(t, nil)}
	reader := c.Client(t, nil)
	for round := range 200 {
		key := fmt.Sprintf("b/r%d/k", round)
		var wins, exists atomic.Int64
		var winner atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i, client := range clients {
			wg.Go(func() {
				b := noise(fmt.Sprint(i), 1000+i)
				size := int64(len(b))
				if round%2 == 0 {
					size = -1
				}
				<-begin
				switch err := client.Put(guarded(t), "s4://"+key, bytes.NewReader(b), size); {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(i))
				case errors.Is(err, s4.ErrExists):
					exists.Add(1)
				default:
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		close(begin)
		wg.Wait()
		if wins.Load() != 1 || exists.Load() != 1 {
			t.Fatalf("round %d: %d won, %d were told it exists", round, wins.Load(), exists.Load())
		}
		i := int(winner.Load())
		if get(t, reader, key) != string(noise(fmt.Sprint(i), 1000+i)) {
			t.Fatalf("round %d: not the winner's bytes", round)
		}
	}
}

func TestManyClients(t *testing.T) {
	c, _ := start(t, node.Config{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			client := s4.NewClient(c.Cluster, nil)
			defer client.Close()
			for k := range 4 {
				key := fmt.Sprintf("b/c%d/%d", i, k)
				put(t, client, key, noise(key, 64<<10))
				if get(t, client, key) != string(noise(key, 64<<10)) {
					t.Errorf("%s: wrong bytes", key)
				}
				other := fmt.Sprintf("b/c%d/%d", (i+1)%64, k)
				var b bytes.Buffer
				if _, err := client.Get(guarded(t), "s4://"+other, &b); err == nil && !bytes.Equal(b.Bytes(), noise(other, 64<<10)) {
					t.Errorf("%s: a part of a key was read", other)
				} else if err != nil && !errors.Is(err, s4.ErrNotFound) {
					t.Errorf("%s: %v", other, err)
				}
			}
		})
	}
	wg.Wait()
	client := c.Client(t, nil)
	if n := len(list(t, client, "b/")); n != 64*4 {
		t.Errorf("%d keys", n)
	}
}
