package ui

import (
	"fmt"
	"html"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nathants/s4"
)

// Limits of the picture of a shuffle. One of more servers would be as large as all the
// rest of a page many times over, and is a table only.
const (
	maxMap     = 80  // servers
	mapSize    = 640 // of all cells, in pixels, if they are not smaller than leastCell then
	leastCell  = 11  // pixels
	mostCell   = 40
	labelled   = 17 // pixels of a cell from which on every row and column has a number
	mapLabel   = 28 // pixels for them
	labelEvery = 4  // rows of smaller cells
	levels     = 8  // of color
)

// shuffle is what the servers have pushed to each other for a job.
type shuffle struct {
	Rows    []shuffleRow // by server
	Map     template.HTML
	Max     int64 // bytes of any cell
	Pushed  int64 // bytes that went to another server
	Stayed  int64 // bytes that did not have to
	MaxSent int64 // bytes of any row or column, without what stayed
}

// shuffleRow is what one server has sent and got.
type shuffleRow struct {
	Index     int
	Server    string
	Known     bool // it has told
	Cells     []s4.Traffic
	Sent, Got int64 // to and from others
}

// newShuffle returns nil if there is nothing to show.
func newShuffle(matrix [][]s4.Traffic, servers []s4.Server) *shuffle {
	s := &shuffle{Rows: make([]shuffleRow, len(servers))}
	for i, at := range servers {
		s.Rows[i].Index, s.Rows[i].Server = i, at.String()
	}
	for from, row := range matrix {
		r := &s.Rows[from]
		r.Known, r.Cells = row != nil, row
		for to, t := range row {
			s.Max = max(s.Max, t.Bytes)
			if from == to {
				s.Stayed += t.Bytes
				continue
			}
			s.Pushed += t.Bytes
			r.Sent += t.Bytes
			s.Rows[to].Got += t.Bytes
		}
	}
	if s.Max == 0 {
		return nil
	}
	for i := range s.Rows {
		s.MaxSent = max(s.MaxSent, s.Rows[i].Sent, s.Rows[i].Got)
	}
	if len(servers) <= maxMap {
		s.Map = s.draw()
	}
	return s
}

// draw makes a picture with a cell for each pair of servers, the darker the more bytes.
func (s *shuffle) draw() template.HTML {
	n := len(s.Rows)
	cell := min(mostCell, max(leastCell, mapSize/n))
	size := mapLabel + n*cell
	every := 1
	if cell < labelled {
		every = labelEvery
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="heat" width="%d" height="%[1]d" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="%s">`, size,
		html.EscapeString(fmt.Sprintf("bytes from each server to each, at most %s: the table has them", plainSize(s.Max))))
	fmt.Fprintf(&b, `<rect class="none" x="%d" y="%[1]d" width="%d" height="%[2]d"/>`, mapLabel, n*cell)
	for i := 0; i < n; i += every {
		at := mapLabel + i*cell + cell/2
		fmt.Fprintf(&b, `<text x="%d" y="%d" class="row">%d</text><text x="%[2]d" y="%[4]d" class="col">%[3]d</text>`, mapLabel-5, at, i, mapLabel-8)
	}
	for from, row := range s.Rows {
		y := mapLabel + from*cell
		if !row.Known {
			fmt.Fprintf(&b, `<rect class="unknown" x="%d" y="%d" width="%d" height="%d"><title>%s</title></rect>`, mapLabel, y, n*cell, cell-1,
				html.EscapeString(row.Server+" does not tell"))
			continue
		}
		for to, t := range row.Cells {
			if t.Files == 0 {
				continue
			}
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%d" height="%[4]d"><title>%s</title></rect>`,
				level(t.Bytes, s.Max), mapLabel+to*cell, y, cell-1, html.EscapeString(s.title(from, to, t)))
		}
	}
	for i := range s.Rows { // what stayed, whatever its color
		fmt.Fprintf(&b, `<rect class="own" x="%d.5" y="%[1]d.5" width="%d" height="%[2]d"/>`, mapLabel+i*cell, cell-2)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// plainSize is size with a space that may break a line.
func plainSize(n int64) string { return strings.ReplaceAll(size(n), "\u00a0", " ") }

// level returns the class of a color.
func level(bytes, most int64) string {
	return "h" + strconv.Itoa(min(levels, 1+int(share(bytes-1, most)*levels)))
}

func (s *shuffle) title(from, to int, t s4.Traffic) string {
	what := fmt.Sprintf("%s, %d files", plainSize(t.Bytes), t.Files)
	if from == to {
		return fmt.Sprintf("%d stayed on %s: %s", from, s.Rows[from].Server, what)
	}
	return fmt.Sprintf("%d → %d, %s → %s: %s", from, to, s.Rows[from].Server, s.Rows[to].Server, what)
}

type trafficPage struct {
	Base, ID string
	Shuffle  *shuffle
	Err      error
}

// traffic shows a shuffle as a table of all pairs of servers.
func (u *UI) traffic(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	matrix, err := u.client.JobTraffic(r.Context(), id)
	if err != nil && !slices.ContainsFunc(matrix, func(row []s4.Traffic) bool { return row != nil }) {
		u.fail(w, err)
		return
	}
	u.write(w, http.StatusOK, "traffic", page{Title: "Shuffle of job " + id,
		Body: trafficPage{u.Path(), id, newShuffle(matrix, u.client.Cluster().Servers), err}})
}
