package bench

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// exampleReport has two results, one with a peer and one of keys.
func exampleReport() *Report {
	setup := Setup{Size: 1 << 30, Rounds: 2, Servers: 3, Scale: 1}
	side := func(walls ...float64) (s []Sample) {
		for _, w := range walls {
			s = append(s, Sample{Wall: w, ClientCPU: 0.5, ServerCPU: 0.25, ClientPeak: 7 << 20, ServerPeaks: []int64{8 << 20, 9 << 20}, Bytes: 1 << 30, Keys: 1})
		}
		return s
	}
	peer := side(4, 4)
	for i := range peer {
		peer[i].ServerCPU, peer[i].ServerPeaks = 0, nil
	}
	keys := []Sample{{Wall: 2, ClientCPU: 1, Keys: 4000}, {Wall: 4, ClientCPU: 1, Keys: 4000}}
	row := Row{Name: "put-file", Work: "put 1 GiB file", Yardstick: "bare 1 GiB", Targets: []Target{AtLeast(0.95, Throughput), AtMost(1.1, ServerCPU)}}
	small := Row{Name: "list", Work: "list keys", Yardstick: "find"}
	return &Report{
		Version: ReportVersion,
		Date:    time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC),
		Machine: Machine{CPU: "Abacus", Cores: 2, Memory: 24 << 30, Kernel: "Linux 6.18", FileSystem: "tmpfs", Go: "go1.26", S4: "s4 version 0.1.0", Load: 0.5},
		Setup:   setup,
		Results: []Result{
			newResult("put", row, Side{Name: "s4", samples: side(2, 2)}, Side{Name: "bare", samples: side(1, 2)}, Side{Name: "other", samples: peer}),
			newResult("list", small, Side{Name: "s4", samples: keys}, Side{Name: "find", samples: keys}),
		},
		LeftOut: []LeftOut{{What: "iperf3", Why: "it is not on PATH"}},
	}
}

// The fields are those that programs read, and what is read back is what was written.
func TestJSON(t *testing.T) {
	r := exampleReport()
	r.Series = []Series{{Name: "ls", XLabel: "keys", YLabel: "ms", XLog: true, Note: "n", Points: []Point{{1, 2, 3, 4}}}}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	var got Report
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || !reflect.DeepEqual(&got, r) {
		t.Errorf("%v: read back\n%+v\nwant\n%+v", err, got, r)
	}
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`"(\w+)": `).FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	const want = "bytes client_cpu_seconds client_peak_bytes cores cpu cpu_seconds date file_system go holds kernel keys " +
		"left_out load machine max median memory_bytes metric min name note peers points ratio ratio_of_each_round results " +
		"rounds row s4 samples scale series server_cpu_seconds server_peak_bytes servers setup sides size_bytes speed target " +
		"time value value_of_best_rounds value_of_each_round verdicts version wall_seconds what why work workload " +
		"x x_label x_log y y_label yardstick"
	if got := strings.Join(slices.Sorted(maps.Keys(names)), " "); got != want {
		t.Errorf("fields %s, want %s", got, want)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := exampleReport().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
Abacus, 2 cores, 24 GiB of memory, Linux 6.18, tmpfs, go1.26, s4 version 0.1.0
2026-11-22, load before 0.5; medians of 2 rounds, s4 with 3 servers and its yardstick by turns

work             s4 s   yardstick s  s4           yardstick    s4 CPU s  yardstick       client   server   ratio (spread)    best  target                 holds
put 1 GiB file   2.000  1.500        537 MB/s     805 MB/s     0.750     0.750           7.0 MiB  9.0 MiB  0.67 (0.50-1.00)  0.50  >= 0.95 of throughput  NO
  server CPU                         0.250 s/GiB  0.250 s/GiB                                              1.00 (1.00-1.00)        <= 1.1 x server CPU    yes
  against other  2.000  4.000        537 MB/s     268 MB/s     0.750     0.500 (client)                    0.50 (0.50-0.50)  0.50  time, no target
list keys        3.000  3.000        1500 keys/s  1500 keys/s  1.000     1.000           0.0 MiB  0.0 MiB                          none

The ratio is that of the medians, s4 to yardstick; the spread is that of the
rounds, and best is that of the best round of each side, which other work on the
machine disturbed least. Where the target is an amount, it is s4's own figure, and
with a sign the difference. Client and server are peak memory of s4, the server's
of the largest one. Against others it is the ratio of the times: below 1, s4 was
faster.

put 1 GiB file: against bare 1 GiB
list keys: against find
left out: iperf3, because it is not on PATH
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	small := exampleReport()
	small.Setup.Scale, small.Setup.Servers = 0.5, 1
	b.Reset()
	if err := small.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"s4 with 1 server and", "\nTargets are meant for a large file of 1 GiB, scale 1 and 3 servers, other than here.\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestRoundsText(t *testing.T) {
	r := &Report{Setup: Setup{Rounds: 5}}
	for _, tt := range []struct {
		rounds int
		want   string
	}{{0, "5 rounds"}, {1, "1 round"}, {3, "1 to 3 rounds"}, {2, "1 to 3 rounds"}} {
		if tt.rounds > 0 {
			r.Results = append(r.Results, Result{Sides: []SideResult{{Samples: make([]Sample, tt.rounds)}}})
		}
		if got := r.roundsText(); got != tt.want {
			t.Errorf("with a row of %d: %q, want %q", tt.rounds, got, tt.want)
		}
	}
}

func TestWriteSeries(t *testing.T) {
	put := Series{
		Name: "put", XLabel: "keys", YLabel: "µs each", XLog: true, Note: "Of 100 B.",
		Points: []Point{{X: 100, Y: 12.345, Min: 10, Max: 20}, {X: 1e6, Y: 0.987654, Min: 0, Max: 1234.5}},
	}
	get := put
	get.Name = "get"
	speed := put
	speed.YLabel, speed.Points = "MB/s", speed.Points[:1]
	r := &Report{Series: []Series{put, get, speed}}
	var b strings.Builder
	r.writeSeries(&b)
	const want = `
Of 100 B. µs each, median (spread).
     keys               put               get
      100  12.3 (10.0-20.0)  12.3 (10.0-20.0)
  1000000    0.988 (0-1234)    0.988 (0-1234)

Of 100 B. MB/s, median (spread).
  keys               put
   100  12.3 (10.0-20.0)

`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestIperf(t *testing.T) {
	rate, err := iperfRate([]byte(`{"end": {"sum_sent": {"bits_per_second": 9}, "sum_received": {"bits_per_second": 8e9}}}`))
	if err != nil || rate != 1e9 {
		t.Errorf("%v, %v", rate, err)
	}
	if _, err := iperfRate([]byte("no")); err == nil {
		t.Error("no JSON passes")
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[int]string{1: "1", 999: "999", 1000: "1,000", 2000000: "2,000,000"} {
		if got := countText(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	for n, want := range map[int64]string{1: "1 B", 1000: "1000 B", 1 << 20: "1 MiB", 3 << 29: "1536 MiB", 1 << 30: "1 GiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for s, want := range map[float64]string{0: "0.00 µs", 0.00001234: "12.34 µs", 0.00012: "120 µs", 0.0123: "12.30 ms", 2.5: "2.500 s"} {
		if got := secondsText(s); got != want {
			t.Errorf("%v is %s", s, got)
		}
	}
}
