package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

// curvesReport is the example with curves, and with names that need escapes.
func curvesReport() *Report {
	r := exampleReport()
	r.Results[0].Yardstick = `a <b> & "c"`
	keys := func(name string) Series {
		return Series{Name: name, XLabel: "keys", YLabel: "seconds", XLog: true, Note: "Of 100 B.",
			Points: []Point{{100, 0.02, 0.01, 0.03}, {1000, 0.1, 0.1, 0.1}, {1e5, 9, 8, 10}}}
	}
	servers := Series{Name: "shuffle", XLabel: "servers", YLabel: "seconds", Points: []Point{{1, 2, 0, 3}, {8, 1, 1, 1}}}
	r.Series = []Series{keys("put"), keys("get"), servers, {Name: "nothing", XLabel: "x", YLabel: "y"}}
	return r
}

func writeHTML(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteHTML(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed fails the test unless the text is XML, and returns how many there
// are of each element.
func wellFormed(t *testing.T, text string) map[string]int {
	t.Helper()
	count := make(map[string]int)
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestHTML(t *testing.T) {
	text := writeHTML(t, curvesReport())
	count := wellFormed(t, text)
	// The ratios, a strip for each of two rows, and three charts: two curves are
	// in one.
	if count["svg"] != 1+2+3 || count["polyline"] != 4 || count["script"] != 0 {
		t.Errorf("elements %v", count)
	}
	for _, want := range []string{
		"1 of 2 targets hold", "put 1 GiB file: throughput", "Abacus, 2 cores", "s4 version 0.1.0, go1.26",
		"a &lt;b&gt; &amp; &#34;c&#34;", "0.67 MISSED", "1.00 holds", "&gt;= 0.95 of throughput",
		"against other", "iperf3, because it is not on PATH", "Of 100 B.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// The file works without any other: nothing in it is fetched.
func TestHTMLSelfContained(t *testing.T) {
	text := writeHTML(t, curvesReport())
	text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/1999/xhtml"`, "")
	if found := regexp.MustCompile(`(?i)https?:|src=|href=|url\(|@import|<link|<script|ZgotmplZ|NaN|Inf\b`).FindString(text); found != "" {
		t.Errorf("found %q", found)
	}
}

// What a run may lack is no error, and no empty chart.
func TestHTMLEmpty(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"nothing":    func(r *Report) { r.Results, r.Series, r.LeftOut = nil, nil, nil },
		"no targets": func(r *Report) { r.Results = r.Results[1:] },
		"unknown ratio": func(r *Report) {
			r.Results[0].Verdicts = []Verdict{compare(AtMost(1, Time), nil, nil)}
		},
		"an amount": func(r *Report) {
			res := &r.Results[0]
			res.Verdicts = []Verdict{compare(NoMore(9, Time), res.Sides[0].Samples, res.Sides[1].Samples)}
		},
	} {
		r := exampleReport()
		change(r)
		text := writeHTML(t, r)
		wellFormed(t, text)
		if strings.Contains(text, `class="bars"`) {
			t.Errorf("%s: there is a chart of ratios", name)
		}
		if strings.Contains(text, "because") != (len(r.LeftOut) > 0) {
			t.Errorf("%s: wrong about what was left out", name)
		}
	}
}

// All that is drawn is inside of the picture, and in order.
func TestRatioChart(t *testing.T) {
	bars := []ratioBar{
		{verdict: compare(AtMost(1, Time), wallSamples(1, 2, 900), wallSamples(2, 2, 2))},
		{verdict: compare(AtLeast(0.95, Throughput), wallSamples(1, 1, 1), wallSamples(1, 1, 1))},
	}
	c := newRatioChart(bars)
	inside := func(what string, x float64) {
		if math.IsNaN(x) || x < ratioLabels || x > ratioLabels+ratioAxis {
			t.Errorf("%s is at %v", what, x)
		}
	}
	inside("1", c.One)
	for _, tick := range c.Ticks {
		inside("a tick", tick.At)
	}
	for _, b := range c.Bars {
		for _, x := range append(append([]float64{b.At, b.Good.X, b.Good.X + b.Good.Width, b.Spread.X, b.Spread.X + b.Spread.Width}, b.Dots...), b.Limits...) {
			inside("a bar", x)
		}
	}
	if len(c.Ticks) < 4 || c.Bars[0].Spread.Width <= c.Bars[1].Spread.Width || c.Bars[1].Bar.Width != 0 {
		t.Errorf("%+v", c)
	}
	if newRatioChart(nil) != nil {
		t.Error("a chart of nothing")
	}
}

func wallSamples(walls ...float64) (s []Sample) {
	for _, w := range walls {
		s = append(s, Sample{Wall: w, Bytes: 100})
	}
	return s
}

// A logarithmic axis goes by factors, and one with a 0 does not.
func TestAxis(t *testing.T) {
	a := newAxis([]float64{1, 100}, true, 0, 100)
	if mid := a.at(10); math.Abs(mid-50) > 0.1 || !a.log {
		t.Errorf("10 is at %v of 1 to 100", mid)
	}
	if b := newAxis([]float64{0, 100}, true, 0, 100); b.log || b.at(0) != 0 {
		t.Errorf("%+v", b)
	}
	for _, values := range [][]float64{{1, 100}, {1e-6, 1e6}, {5, 5}, {0, 8}, {0, 0}, nil, {1.1, 1.9}} {
		for _, log := range []bool{true, false} {
			a := newAxis(values, log, 200, 0)
			if values != nil && len(a.ticks(18)) < 2 {
				t.Errorf("%v: ticks %+v", values, a.ticks(18))
			}
			last := math.Inf(1)
			for _, tick := range a.ticks(18) {
				if tick.At > last-18 || tick.At < -1 || tick.At > 201 {
					t.Errorf("%v: ticks %+v", values, a.ticks(18))
				}
				last = tick.At
			}
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.02: "0.02", 1: "1", 999: "999", 1500: "1.5k", 2e6: "2M", 3e9: "3G"} {
		if got := short(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

// Where servers are counted, each count that was measured has a tick.
func TestXTicks(t *testing.T) {
	for _, tt := range []struct {
		places []float64
		want   string
	}{{[]float64{8, 1, 2, 4, 1}, "1 2 4 8"}, {[]float64{1, 1024, 1 << 20}, "1 10 100 1k 10k 100k 1M"}} {
		var got []string
		for _, tick := range newAxis(tt.places, true, 0, 380).xTicks(tt.places) {
			got = append(got, tick.Text)
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%v: %s, want %s", tt.places, text, tt.want)
		}
	}
}

// Reports do not change when they are written.
func TestHTMLTwice(t *testing.T) {
	r := curvesReport()
	if a, b := writeHTML(t, r), writeHTML(t, r); !bytes.Equal([]byte(a), []byte(b)) {
		t.Error("the second is another")
	}
}
