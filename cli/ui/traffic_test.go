package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
)

// someServers returns n servers whose names must be escaped, and what they have pushed.
func someServers(n int) ([]s4.Server, [][]s4.Traffic) {
	servers, matrix := make([]s4.Server, n), make([][]s4.Traffic, n)
	for i := range n {
		servers[i] = s4.Server{Address: fmt.Sprintf("<h%d>", i), Port: "1"}
		matrix[i] = make([]s4.Traffic, n)
		for k := range n {
			matrix[i][k] = s4.Traffic{Files: 2, Bytes: int64(1 + i*n + k)}
		}
	}
	return servers, matrix
}

func TestShuffle(t *testing.T) {
	t.Parallel()
	servers, matrix := someServers(64)
	matrix[5][6] = s4.Traffic{}
	matrix[7] = nil // it does not answer
	s := newShuffle(matrix, servers)
	svg := string(s.Map)
	for class, want := range map[string]int{"h1": 512 - 64 - 1, "h2": 512, "h8": 512, "own": 64, "unknown": 1, "none": 1} {
		if got := strings.Count(svg, `<rect class="`+class+`"`); got != want {
			t.Errorf("%d cells of class %s, want %d", got, class, want)
		}
	}
	for _, want := range []string{
		"<title>0 → 1, &lt;h0&gt;:1 → &lt;h1&gt;:1: 2 B, 2 files</title>",
		"<title>63 stayed on &lt;h63&gt;:1: 4.1 kB, 2 files</title>",
		"<title>&lt;h7&gt;:1 does not tell</title>",
		`class="row">60</text>`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(svg, "<h") || len(svg) > 700_000 {
		t.Errorf("%d bytes, or a server is not escaped", len(svg))
	}
	var sent, got int64
	for _, r := range s.Rows {
		sent, got = sent+r.Sent, got+r.Got
	}
	if s.Max != 64*64 || s.Pushed != sent || s.Pushed != got || s.Rows[7].Known || s.Rows[7].Got == 0 {
		t.Errorf("most %d, pushed %d, sent %d, got %d, %+v", s.Max, s.Pushed, sent, got, s.Rows[7])
	}
	servers, matrix = someServers(maxMap + 1)
	if s := newShuffle(matrix, servers); s.Map != "" || len(s.Rows) != maxMap+1 {
		t.Errorf("%d servers have a map of %d bytes", len(servers), len(s.Map))
	}
	if s := newShuffle(make([][]s4.Traffic, 3), servers[:3]); s != nil {
		t.Errorf("of nothing: %+v", s)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	health := func(up time.Duration, received, sent int64) s4.ServerHealth {
		return s4.ServerHealth{Uptime: up, Load: s4.ServerLoad{Received: received, Sent: sent}}
	}
	last := &snapshot{at: at, health: []s4.ServerHealth{health(time.Hour, 10, 20), health(time.Hour, 10, 20)}}
	s := &snapshot{at: at.Add(2 * time.Second), health: []s4.ServerHealth{health(time.Hour+2*time.Second, 110, 30), health(time.Second, 1, 1)}}
	if r := s.since(last); r[0] != (serverRate{50, 5, true}) || r[1].Known {
		t.Errorf("%+v", r)
	}
	if r := last.since(s); r != nil {
		t.Errorf("back in time: %+v", r)
	}
}
