package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// WriteHTML writes the report as one file for a browser, which needs no other, with
// what differs from an older one if old is not nil. It is XHTML in what it writes,
// so that a strict parser can check it.
func (r *Report) WriteHTML(w io.Writer, old *Report) error {
	p := newPage(r)
	if old != nil {
		p.Changes, p.ComparedBy = r.compare(old), comparedBy
	}
	if err := htmlTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

//go:embed html.tmpl
var htmlText string

var htmlTemplate = template.Must(template.New("report").Parse(htmlText))

// page is what the template draws. All geometry is done before, in pixels.
type page struct {
	*Report
	Facts   []fact
	Summary string
	Missed  []string
	Ratios  *ratioChart // nil without ratios
	Apart   int         // verdicts that are no ratio
	Rows    []pageRow
	Curves  []curveChart
	Colors  []string // the classes of curves

	Changes    *comparison // nil without an older report
	ComparedBy string
}

type fact struct{ Name, Text string }

// pageRow is a result in the table.
type pageRow struct {
	Result
	S4, Beside pageSide
	Strip      *strip
	Lines      []pageLine
}

type pageSide struct{ Seconds, Speed, CPU, Client, Server string }

// pageLine is a verdict, or what a peer was.
type pageLine struct{ Peer, Value, Spread, Target, Holds string }

func newPage(r *Report) *page {
	p := &page{Report: r}
	m, s := r.Machine, r.Setup
	p.Facts = []fact{
		{"Date", r.Date.Format("2006-01-02 15:04 MST")},
		{"CPU", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)},
		{"Memory", memoryText(m.Memory)},
		{"Kernel", m.Kernel},
		{"File system", m.FileSystem},
		{"Versions", m.S4 + ", " + m.Go},
		{"Load before", fmt.Sprintf("%.1f", m.Load)},
		{"Setup", fmt.Sprintf("%s, %s by turns, large file %s, scale %g", s.serversText(), r.roundsText(), sizeText(s.Size), s.Scale)},
	}
	if m.Loopback > 0 {
		p.Facts = append(p.Facts, fact{"Loopback", Throughput.amount(m.Loopback) + " by iperf3"})
	}
	var bars []ratioBar
	targets, held := 0, 0
	for _, res := range r.Results {
		if len(res.Sides) < 2 {
			continue
		}
		row := pageRow{Result: res, S4: newPageSide(res.Sides[0]), Beside: newPageSide(res.Sides[1]), Strip: newStrip(res.Sides[:2])}
		for _, v := range res.Verdicts {
			row.Lines = append(row.Lines, newPageLine("", v))
			if !v.Target.none() {
				targets++
				if v.Holds {
					held++
				} else {
					p.Missed = append(p.Missed, res.Work+": "+string(v.Target.Metric))
				}
			}
			switch {
			case v.Unknown != "" || v.Target.Kind != OfRatio:
				p.Apart++
			default:
				bars = append(bars, ratioBar{Name: res.Work, Metric: string(v.Target.Metric), verdict: v})
			}
		}
		if len(res.Verdicts) == 0 {
			row.Lines = append(row.Lines, pageLine{Target: "none"})
		}
		for _, peer := range res.Peers {
			row.Lines = append(row.Lines, newPageLine(peer.Name, peer.Time))
		}
		p.Rows = append(p.Rows, row)
	}
	p.Ratios = newRatioChart(bars)
	p.Summary = fmt.Sprintf("%d of %d targets hold", held, targets)
	if targets == 0 {
		p.Summary = "No row has a target"
	}
	p.Curves = newCurveCharts(r.Series)
	for i := range curveColors {
		p.Colors = append(p.Colors, fmt.Sprintf("c%d", i))
	}
	return p
}

func newPageSide(s SideResult) pageSide {
	side := pageSide{Seconds: figure(s.Wall.Median), Speed: speedText(s), CPU: figure(s.CPU.Median), Client: memoryText(s.ClientPeak)}
	if s.ServerPeak > 0 {
		side.Server = memoryText(s.ServerPeak)
	}
	return side
}

func newPageLine(peer string, v Verdict) pageLine {
	l := pageLine{Peer: peer, Target: v.Target.String(), Holds: v.holdsText()}
	value, spread, ok := strings.Cut(v.ratioText(), " (")
	l.Value = value
	if ok {
		l.Spread = strings.TrimSuffix(spread, ")")
		if best := v.bestText(); best != "" {
			l.Spread += "; best " + best
		}
	}
	return l
}

// span is a part of an axis, in pixels. Drawing from it is left to right.
type span struct{ X, Width float64 }

// px rounds what is drawn to a tenth of a pixel, which keeps the file small.
func px(v float64) float64 { return math.Round(v*10) / 10 }

// strip shows the rounds of two sides on one axis of seconds from 0.
type strip struct {
	S4, Yardstick             []float64 // x of each round
	S4Median, YardstickMedian float64
}

const stripWidth, stripPad = 120, 5

func newStrip(sides []SideResult) *strip {
	most := max(sides[0].Wall.Max, sides[1].Wall.Max)
	if most <= 0 {
		return nil
	}
	at := func(v float64) float64 { return px(stripPad + v/most*(stripWidth-2*stripPad)) }
	all := func(s SideResult) (x []float64) {
		for _, one := range s.Samples {
			x = append(x, at(one.Wall))
		}
		return x
	}
	return &strip{all(sides[0]), all(sides[1]), at(sides[0].Wall.Median), at(sides[1].Wall.Median)}
}

// ratioChart has a bar for each verdict that limits a ratio, on a logarithmic
// axis: twice is as far from 1 as half.
type ratioChart struct {
	Width, Height, Bottom, One float64
	Ticks                      []tick
	Bars                       []ratioBar
}

type tick struct {
	At   float64
	Text string
}

// ratioBar is one verdict. The bar is from 1 to the ratio of the medians, and
// Good is where the target holds.
type ratioBar struct {
	Name, Metric string
	Y            float64
	Bar, Spread  span
	Good         span
	At           float64 // of the ratio
	Limits       []float64
	Dots         []float64
	Value        string
	Holds        string
	Class        string
	verdict      Verdict
}

const (
	ratioLabels = 330 // to the left of the axis
	ratioAxis   = 520
	ratioValues = 130 // to the right
	ratioTop    = 26
	ratioRow    = 40
)

func newRatioChart(bars []ratioBar) *ratioChart {
	if len(bars) == 0 {
		return nil
	}
	low, high := 0.8, 1.25
	for _, b := range bars {
		for _, v := range []float64{b.verdict.Ratio, b.verdict.PerRound.Min, b.verdict.PerRound.Max, b.verdict.Target.Min, b.verdict.Target.Max} {
			if v > 0 {
				low, high = min(low, v*0.95), max(high, v*1.05)
			}
		}
	}
	left, right := math.Log(low), math.Log(high)
	at := func(v float64) float64 {
		return px(ratioLabels + min(1, max(0, (math.Log(v)-left)/(right-left)))*ratioAxis)
	}
	between := func(a, b float64) span { return span{min(at(a), at(b)), px(math.Abs(at(b) - at(a)))} }
	c := &ratioChart{Width: ratioLabels + ratioAxis + ratioValues, One: at(1)}
	c.Bottom = float64(ratioTop + ratioRow*len(bars))
	c.Height = c.Bottom + 8
	for _, v := range ratioTicks(low, high) {
		c.Ticks = append(c.Ticks, tick{at(v), strconv.FormatFloat(v, 'g', 3, 64)})
	}
	for i, b := range bars {
		v := b.verdict
		b.Y = float64(ratioTop + ratioRow*i)
		b.At, b.Bar, b.Spread = at(v.Ratio), between(1, v.Ratio), between(v.PerRound.Min, v.PerRound.Max)
		for _, round := range v.Rounds {
			b.Dots = append(b.Dots, at(round))
		}
		b.Value, b.Holds, b.Class = fmt.Sprintf("%.2f", v.Ratio), v.holdsText(), "none"
		if t := v.Target; !t.none() {
			from, to := low, high
			if t.Min > 0 {
				from = t.Min
				b.Limits = append(b.Limits, at(from))
			}
			if t.Max > 0 {
				to = t.Max
				b.Limits = append(b.Limits, at(to))
			}
			b.Good = between(from, to)
			b.Class = map[bool]string{true: "held", false: "missed"}[v.Holds]
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}

// ratioTicks returns round numbers, finer ones where the range is small.
func ratioTicks(low, high float64) (list []float64) {
	candidates := []float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	if high/low < 6 {
		candidates = []float64{0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 5}
	}
	for _, v := range candidates {
		if v >= low && v <= high {
			list = append(list, v)
		}
	}
	return list
}

// Heading is above the chart: what the vertical axis is, and of what if there is
// one curve.
func (c curveChart) Heading() string {
	if len(c.Lines) == 1 {
		return c.Title + ", " + c.YLabel
	}
	return c.YLabel
}

// curveChart draws the series that have their labels and note in common.
type curveChart struct {
	Title, XLabel, YLabel, Note string
	Width, Height               float64
	Left, Right, Top, Bottom    float64
	XTicks, YTicks              []tick
	Lines                       []curveLine
}

type curveLine struct {
	Name   string
	Class  string // c0 to c5
	Path   string // of the medians
	Points []curvePoint
	Legend float64 // y
}

type curvePoint struct {
	X, Y, Min, Max float64
	Text           string
}

const curveColors = 6

func newCurveCharts(list []Series) (charts []curveChart) {
	for len(list) > 0 {
		first, n := list[0], 1
		for n < len(list) && n < curveColors && list[n].XLabel == first.XLabel && list[n].YLabel == first.YLabel && list[n].Note == first.Note {
			n++
		}
		charts = append(charts, newCurveChart(list[:n]))
		list = list[n:]
	}
	return charts
}

func newCurveChart(list []Series) curveChart {
	var xs, ys []float64
	xLog := true
	for _, s := range list {
		xLog = xLog && s.XLog
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y, p.Min, p.Max)
		}
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	c := curveChart{
		Title: strings.Join(names, ", "), XLabel: list[0].XLabel, YLabel: list[0].YLabel, Note: list[0].Note,
		Width: 480, Left: 58, Right: 464, Top: 34,
	}
	legend := 0.0
	if len(list) > 1 {
		legend = float64(16 * len(list))
	}
	c.Top += legend
	c.Bottom = c.Top + 210
	c.Height = c.Bottom + 44
	x := newAxis(xs, xLog, c.Left+12, c.Right-12)
	y := newAxis(ys, true, c.Bottom, c.Top)
	c.XTicks, c.YTicks = x.xTicks(xs), y.ticks(18)
	for i, s := range list {
		l := curveLine{Name: s.Name, Class: fmt.Sprintf("c%d", i), Legend: float64(36 + 16*i)}
		for _, p := range s.Points {
			point := curvePoint{
				X: x.at(p.X), Y: y.at(p.Y), Min: y.at(p.Min), Max: y.at(p.Max),
				Text: fmt.Sprintf("%s: %s at %s (%s to %s)", s.Name, figure(p.Y), short(p.X), figure(p.Min), figure(p.Max)),
			}
			l.Path += fmt.Sprintf("%g,%g ", point.X, point.Y)
			l.Points = append(l.Points, point)
		}
		l.Path = strings.TrimSpace(l.Path)
		c.Lines = append(c.Lines, l)
	}
	return c
}

// axis maps values to pixels. It is logarithmic if that was asked for and all
// values are greater than 0.
type axis struct {
	low, high float64
	log       bool
	from, to  float64 // pixels
}

func newAxis(values []float64, log bool, from, to float64) axis {
	a := axis{low: math.Inf(1), high: math.Inf(-1), log: log, from: from, to: to}
	for _, v := range values {
		a.low, a.high = min(a.low, v), max(a.high, v)
	}
	a.log = a.log && a.low > 0
	switch {
	case len(values) == 0:
		a.low, a.high, a.log = 0, 1, false
	case a.log:
		a.low, a.high = a.low/1.1, a.high*1.1
	default:
		a.low = min(0, a.low)
		a.high = max(a.high*1.05, a.low+1e-9)
	}
	return a
}

func (a axis) at(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.log {
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return px(a.from + share*(a.to-a.from))
}

// ticks returns round values: of the finest of several steps that leaves so many
// pixels between two.
func (a axis) ticks(apart float64) []tick {
	steps := a.steps()
	if a.log {
		steps = a.factors()
	}
	best := a.finest(steps, apart)
	if len(best) < 2 {
		best = a.finest(a.steps(), apart) // a range of less than a factor
	}
	return best
}

func (a axis) finest(steps [][]float64, apart float64) (best []tick) {
	for _, values := range steps {
		var list []tick
		for _, v := range values {
			if v >= a.low && v <= a.high {
				list = append(list, tick{a.at(v), short(v)})
			}
		}
		fits := true
		for i := 1; i < len(list); i++ {
			fits = fits && math.Abs(list[i].At-list[i-1].At) >= apart
		}
		if fits && len(list) > len(best) {
			best = list
		}
	}
	return best
}

// steps are candidates for ticks that differ by the same amount.
func (a axis) steps() (steps [][]float64) {
	for _, m := range []float64{1, 2, 5} {
		for e := -9.0; e <= 15; e++ {
			step := m * math.Pow(10, e)
			if n := (a.high - a.low) / step; n >= 1 && n <= 20 {
				var list []float64
				for i := math.Ceil(a.low / step); i*step <= a.high; i++ {
					list = append(list, i*step)
				}
				steps = append(steps, list)
			}
		}
	}
	return steps
}

// factors are candidates for the ticks of a logarithmic axis.
func (a axis) factors() (steps [][]float64) {
	for _, digits := range [][]float64{{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 5}, {1, 3}, {1}} {
		for every := 1; every <= 4; every++ {
			if every > 1 && len(digits) > 1 {
				continue
			}
			var list []float64
			for e := -12; e <= 15; e++ {
				if e%every == 0 {
					for _, d := range digits {
						list = append(list, d*math.Pow(10, float64(e)))
					}
				}
			}
			steps = append(steps, list)
		}
	}
	return steps
}

// xTicks are the places of the points where these are small counts, as of
// servers.
func (a axis) xTicks(places []float64) []tick {
	const apart = 34
	slices.Sort(places)
	places = slices.Compact(places)
	if slices.ContainsFunc(places, func(v float64) bool { return v != math.Trunc(v) || v < 1 || v >= 1000 }) {
		return a.ticks(apart)
	}
	if list := a.finest([][]float64{places}, 16); len(list) > 0 {
		return list
	}
	return a.ticks(apart)
}

// short writes a number of an axis: 20k, 1.5M, 0.02.
func short(v float64) string {
	for _, u := range slices.Backward([]struct {
		at   float64
		name string
	}{{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}}) {
		if math.Abs(v) >= u.at*0.9999 {
			return strconv.FormatFloat(v/u.at, 'g', 4, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
