package ui

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"
	"time"
)

// barState is how a task is shown on the timeline. Of tasks that are drawn as one, that
// with the highest tells.
type barState int

const (
	barDone barState = iota
	barRunning
	barSlow        // a straggler that is done
	barSlowRunning // one that runs: barRunning + barSlow
	barStopped
	barRetried
	barFailed
)

// classes are the names of states in the style sheet.
var classes = [...]string{"done", "running", "slow", "slow running", "stopped", "retried", "failed"}

// Limits of the timeline. A page with so many shapes is made and drawn in milliseconds.
const (
	maxShapes = 3000
	maxLanes  = 300 // of all servers
	laneWide  = 12  // height of a lane, in pixels
	laneThin  = 5   // if a server has many
	manyLanes = 12
)

// serverLanes is the timeline of one server: a row for each task that ran at a time.
type serverLanes struct {
	Server string
	Tasks  int
	SVG    template.HTML
}

// shape is one or more tasks that are drawn as a rectangle. Times are in units of
// chartWidth.
type shape struct {
	from, to float64
	state    barState
	tasks    int
	first    *bar
}

// timeline draws the tasks of every server. Tasks that are too short to be seen are
// drawn together, the more of them the more there are.
func timeline(bars []bar, servers []serverSums, took time.Duration) []serverLanes {
	slices.SortFunc(bars, func(a, b bar) int { return cmp.Or(cmp.Compare(a.server, b.server), cmp.Compare(a.start, b.start)) })
	perServer := max(1, maxLanes/max(1, len(servers)))
	lanes := make([][][]*bar, len(servers))
	for i := range bars {
		b := &bars[i]
		lanes[b.server] = place(lanes[b.server], b, perServer)
		took = max(took, b.end) // clocks differ
	}
	var drawn [][][]shape
	for least := 1.0; ; least *= 2 {
		n := 0
		drawn = make([][][]shape, len(servers))
		for i, list := range lanes {
			for _, lane := range list {
				shapes := merge(lane, took, least)
				drawn[i] = append(drawn[i], shapes)
				n += len(shapes)
			}
		}
		if n <= maxShapes || least >= chartWidth {
			break
		}
	}
	height := laneWide // the same for all, so that they can be compared
	for _, list := range lanes {
		if len(list) > manyLanes {
			height = laneThin
		}
	}
	var out []serverLanes
	for i, list := range drawn {
		n := 0
		for _, lane := range lanes[i] {
			n += len(lane)
		}
		if n > 0 {
			out = append(out, serverLanes{Server: servers[i].Server, Tasks: n, SVG: draw(list, height, servers[i].Server)})
		}
	}
	return out
}

// place puts b into the first lane that is free when it starts. If there is none and
// there are limit lanes, it goes over others in the last.
func place(lanes [][]*bar, b *bar, limit int) [][]*bar {
	for i, lane := range lanes {
		if lane[len(lane)-1].end <= b.start {
			lanes[i] = append(lane, b)
			return lanes
		}
	}
	if len(lanes) < limit {
		return append(lanes, []*bar{b})
	}
	lanes[limit-1] = append(lanes[limit-1], b)
	return lanes
}

// merge makes shapes of the bars of a lane: one of each that is wider than least, and
// one of those in a row that are not.
func merge(lane []*bar, took time.Duration, least float64) []shape {
	var shapes []shape
	scale := chartWidth / float64(max(1, took))
	for _, b := range lane {
		s := shape{from: float64(b.start) * scale, to: float64(b.end) * scale, state: b.state, tasks: 1, first: b}
		if n := len(shapes); n > 0 {
			last := &shapes[n-1]
			if s.to-s.from < least && (last.tasks > 1 || last.to-last.from < least) && s.to-last.from < 4*least {
				last.to, last.state, last.tasks = max(last.to, s.to), max(last.state, s.state), last.tasks+1
				continue
			}
		}
		shapes = append(shapes, s)
	}
	return shapes
}

// draw makes the picture of a server's lanes.
func draw(lanes [][]shape, height int, server string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="lanes" viewBox="0 0 %d %d" height="%[2]d" preserveAspectRatio="none" role="img" aria-label="%s">`,
		chartWidth, len(lanes)*height, html.EscapeString("tasks of "+server+" over time"))
	// What is not as it should be is drawn last, over what is done, and never so thin that
	// it is overlooked.
	for _, odd := range []bool{false, true} {
		for i, lane := range lanes {
			for _, s := range lane {
				if s.state > barRunning == odd {
					s.draw(&b, i*height, height-1)
				}
			}
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func (s shape) draw(b *strings.Builder, y, height int) {
	title := fmt.Sprintf("%d tasks, %s", s.tasks, classes[s.state])
	if s.tasks == 1 {
		title = fmt.Sprintf("%s: %s, %s", s.first.key, classes[s.state], took(s.first.end-s.first.start))
	}
	least := 1.0
	if s.state > barRunning {
		least = 4
	}
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s</title></rect>`,
		classes[s.state], min(s.from, chartWidth-least), y, max(least, s.to-s.from-0.5), height, html.EscapeString(title))
}
