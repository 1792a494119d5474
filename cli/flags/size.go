package flags

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

var (
	errNoSize   = errors.New("want a number of bytes, at least 1, such as 1000, 64M or 64MiB (in powers of 1024) or 64MB (of 1000)")
	errTooLarge = errors.New("more than 2^63-1 bytes")
)

// ParseSize returns the bytes that text says, at least 1, as split(1) and
// dd(1) take them: 64M and 64MiB are 64 times 1024², 64MB is 64 times 1000².
// The letter may be in lower case, as in kB. Other text is an error that says what is
// allowed.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "kKmMgGtTiB")
	n, err := strconv.ParseUint(digits, 10, 63)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errTooLarge
	}
	if err != nil || n == 0 {
		return 0, errNoSize
	}
	unit := text[len(digits):]
	if unit == "" || unit == "B" {
		return int64(n), nil
	}
	power := 1 + strings.Index("KMGT", strings.ToUpper(unit[:1]))
	if power == 0 {
		return 0, errNoSize
	}
	var base uint64
	switch unit[1:] {
	case "", "iB":
		base = 1024
	case "B":
		base = 1000
	default:
		return 0, errNoSize
	}
	for range power {
		if n > math.MaxInt64/base {
			return 0, errTooLarge
		}
		n *= base
	}
	return int64(n), nil
}

// FormatSize returns a number of bytes for people, in powers of 1000 as disks are sold:
// 999 B, 1.2 MB.
func FormatSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.95 && unit < 6 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", v, " kMGTPE"[unit])
}
