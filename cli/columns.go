package cli

import "strings"

// cell is text in a column of a table.
type cell struct {
	text  string
	color color // that of the rest of the line if it is empty
	right bool  // aligned
}

func left(text string) cell  { return cell{text: text} }
func right(text string) cell { return cell{text: text, right: true} }

func (c cell) in(color color) cell {
	c.color = color
	return c
}

// table lays out rows, of which the first is the head, in columns that are two spaces
// apart, and cuts lines to the width of a terminal; 0 means that it is none.
func table(rows [][]cell, width int, p painter) []string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], textWidth(c.text))
		}
	}
	lines := make([]string, len(rows))
	for k, row := range rows {
		l := line{painter: p, width: width}
		for i, c := range row {
			text := c.text
			if i > 0 {
				l.add("", "  ")
			}
			if i+1 < len(row) || c.right {
				text = pad(text, widths[i], c.right)
			}
			l.add(c.color, text)
		}
		lines[k] = l.String()
	}
	return lines
}

// line is a line of a terminal that is filled from the left.
type line struct {
	painter
	width int // 0 for no limit
	used  int
	b     strings.Builder
}

// add appends text, as much as fits. The last column that is left shows that there was
// more.
func (l *line) add(c color, text string) {
	if l.width > 0 {
		text = shorten(text, l.width-l.used)
		l.used += textWidth(text)
	}
	if c != "" && text != "" {
		text = l.paint(c, text)
	}
	l.b.WriteString(text)
}

func (l *line) String() string { return strings.TrimRight(l.b.String(), " ") }
