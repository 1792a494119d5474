package node

import (
	"context"
	"testing"

	"github.com/nathants/s4/wire"
)

// TestPassPace reads small keys, which are charged by their bytes.
func TestPassPace(t *testing.T) {
	s := testStore(t, t.TempDir())
	mustWrite(t, s, "b/1", "b/22", "b/333")
	charged := 0
	p := &pass{store: s, readers: 1, found: make(chan *wire.Damaged), pace: func(_ context.Context, n int) error {
		charged += n
		return nil
	}}
	if err := p.run(t.Context(), ""); err != nil || p.damaged.Load() > 0 {
		t.Fatal(err, p.damaged.Load())
	}
	if want := p.bytes.Load(); uint64(charged) != want {
		t.Errorf("%d bytes were charged, want %d", charged, want)
	}
}
