package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
)

func TestCopyLine(t *testing.T) {
	for _, tt := range []struct {
		did   copyTotal
		same  int64
		all   *copyTotal
		after float64
		want  string
	}{
		{copyTotal{0, 0}, 0, nil, 0, "cp 0 files, 0 B"},
		{copyTotal{12, 5e6}, 0, nil, 2, "cp 12 files, 5.0 MB, 2.5 MB/s"},
		{copyTotal{1, 50e6}, 0, &copyTotal{4, 200e6}, 2, "cp 1/4 files, 50.0 MB of 200.0 MB, 25.0 MB/s, ETA 6s"},
		{copyTotal{3, 50e6}, 100e6, &copyTotal{4, 200e6}, 2, "cp 3/4 files, 150.0 MB of 200.0 MB, 25.0 MB/s, ETA 2s"},
		{copyTotal{1, 9}, 0, &copyTotal{1, 9}, 1, "cp 1/1 file, 9 B of 9 B, 9 B/s"},
		{copyTotal{2, 9}, 0, &copyTotal{1, 4}, 1, "cp 2/2 files, 9 B of 9 B, 9 B/s"}, // some came, or were sent twice
		{copyTotal{0, 0}, 0, &copyTotal{1, 9}, 9, "cp 0/1 file, 0 B of 9 B"},
	} {
		if got := copyLine("cp", tt.did, tt.same, tt.all, time.Duration(tt.after*float64(time.Second))); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt, got, tt.want)
		}
	}
}

// TestCopyProgress shows when there are lines, and that only a long copy is counted.
func TestCopyProgress(t *testing.T) {
	for _, tt := range []struct {
		when    progressFlag
		app     app
		seconds []float64 // with a line, of 0, 0.5, 1, … 15
		counted bool
	}{
		{"auto", app{}, []float64{10}, true},
		{"always", app{quiet: true}, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, true},
		{"auto", app{quiet: true}, nil, false},
		{"auto", app{json: true}, nil, false},
		{"never", app{}, nil, false},
	} {
		var out strings.Builder
		tt.app.stderr = &out
		counted := make(chan struct{})
		p, stop := tt.app.watchCopy(t.Context(), "cp", tt.when, func(context.Context) (copyTotal, error) {
			close(counted)
			return copyTotal{}, errors.New("no")
		})
		p.mu.Lock()
		due := p.due
		p.mu.Unlock()
		var lines []float64
		if !due.IsZero() {
			for half := range 31 {
				before := out.Len()
				p.mu.Lock()
				p.now = func() time.Time { return p.start.Add(time.Duration(half)*time.Second/2 + time.Millisecond) }
				p.mu.Unlock()
				p.tick()
				p.mu.Lock()
				if out.Len() > before {
					lines = append(lines, float64(half)/2)
				}
				p.mu.Unlock()
			}
		}
		p.aside(func() { p.done(s4.Transfer{Same: true, Size: 3}) })
		stop()
		select {
		case <-counted:
			if !tt.counted {
				t.Errorf("%+v: counted", tt)
			}
		default:
			if tt.counted {
				t.Errorf("%+v: not counted", tt)
			}
		}
		if len(lines) != len(tt.seconds) {
			t.Errorf("%s: lines at %v, want %v", tt.when, lines, tt.seconds)
		}
	}
}
