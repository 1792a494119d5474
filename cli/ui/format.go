package ui

import (
	"errors"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// funcs are what templates print values with.
func funcs() template.FuncMap {
	return template.FuncMap{
		"size":    size,
		"count":   func(n int64) string { return fmt.Sprint(n) },
		"took":    took,
		"stamp":   func(t time.Time) string { return t.Local().Format(time.DateTime) },
		"reason":  reason,
		"percent": func(part, all int64) string { return fmt.Sprintf("%.0f\u00a0%%", 100*share(part, all)) },
		"width":   func(part, all int64) string { return fmt.Sprintf("%.1f", 100*share(part, all)) },
		"used":    func(h serverRow) int64 { return h.Total - h.Free },
		"times":   func(n float64) string { return fmt.Sprintf("%.1f", n) },
		"load":    func(n float64) string { return fmt.Sprintf("%.2f", n) },
	}
}

// share returns part/all between 0 and 1.
func share(part, all int64) float64 {
	if all <= 0 {
		return 0
	}
	return min(1, max(0, float64(part)/float64(all)))
}

// size prints a number of bytes as s4 does elsewhere. Its space does not break a line.
func size(n int64) string { return strings.ReplaceAll(flags.FormatSize(n), " ", "\u00a0") }

// took prints how long something lasted.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d\u00a0ms", max(0, d.Milliseconds()))
	case d < time.Minute:
		return fmt.Sprintf("%.1f\u00a0s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// reason says what went wrong without what the page says beside it.
func reason(err error) string {
	if e, ok := errors.AsType[*s4.Error](err); ok {
		return e.Reason()
	}
	return err.Error()
}
