package bench

import (
	"fmt"
	"math"
	"strconv"
)

// sizeText returns the size in the largest unit that leaves it whole.
func sizeText(n int64) string {
	unit := 0
	for n > 0 && n%1024 == 0 && unit < 4 {
		n /= 1024
		unit++
	}
	return fmt.Sprintf("%d %s", n, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// countText writes a number with commas between the thousands.
func countText(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// memoryText is memory in the unit that people compare.
func memoryText(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// secondsText is a short time in the unit that people compare.
func secondsText(s float64) string {
	switch {
	case s < 0.0001:
		return fmt.Sprintf("%.2f µs", s*1e6)
	case s < 0.001:
		return fmt.Sprintf("%.0f µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.2f ms", s*1e3)
	}
	return fmt.Sprintf("%.3f s", s)
}

// plural is "1 server", or "3 servers".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// figure is a number of three digits, or all of a greater one.
func figure(v float64) string {
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	if v == 0 || decimals < 0 {
		decimals = 0
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
