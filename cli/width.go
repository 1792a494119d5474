package cli

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// runeWidth returns how many columns of a terminal a rune takes: Unicode Standard Annex
// 11, "East Asian Width".
func runeWidth(r rune) int {
	switch {
	case r < 0x300: // the first that combines with another
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// textWidth returns how many columns of a terminal text takes.
func textWidth(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// cutWidth returns as much of the start of text as fits into n columns.
func cutWidth(text string, n int) string {
	for i, r := range text {
		if n -= runeWidth(r); n < 0 {
			return text[:i]
		}
	}
	return text
}

// shorten is cutWidth, and shows with an ellipsis that something was cut off.
func shorten(text string, n int) string {
	if textWidth(text) <= n {
		return text
	}
	return cutWidth(text, n-1) + cutWidth("…", n)
}

// pad fills text with spaces up to n columns, on its left if right is set.
func pad(text string, n int, right bool) string {
	fill := strings.Repeat(" ", max(0, n-textWidth(text)))
	if right {
		return fill + text
	}
	return text + fill
}
