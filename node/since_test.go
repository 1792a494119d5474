package node

import (
	"testing"
	"time"
)

// The age of what is on disk is measured by a clock that nobody sets.
func TestSince(t *testing.T) {
	now := time.Now()
	for _, ns := range []int64{0, now.Add(-time.Hour).UnixNano(), now.UnixNano()} {
		got := since(ns)
		if got.UnixNano() != ns {
			t.Errorf("since(%d) is %v", ns, got)
		}
		if got == got.Round(0) { // which drops the monotonic reading
			t.Errorf("since(%d) has no monotonic clock reading: %v", ns, got)
		}
	}
	if got := since(now.Add(time.Hour).UnixNano()); got.Before(now) || got.After(time.Now()) {
		t.Errorf("an hour ahead: %v, want now, %v", got, now)
	}
}
