package cli

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"

	"s4"
)

func (a *app) putSplit(ctx context.Context, c *s4.Client, src, dst string, opts s4.SplitOptions) error {
	a.about = dst
	t := tally{what: "part"}
	each := func(r s4.Transfer) { a.each(&t, src, r.Key, r) }
	if src == "-" {
		return a.summary(&t, c.PutSplit(ctx, a.stdin, dst, opts, each), "")
	}
	key, err := s4.UploadKey(src, dst)
	if err != nil {
		return usageError{err}
	}
	return a.summary(&t, c.PutSplitFile(ctx, src, key, opts, each), "")
}

// sizeFlag is a flag that takes a number of bytes; 0 is not given.
type sizeFlag int64

func (s *sizeFlag) String() string { return strconv.FormatInt(int64(*s), 10) }

// Type is what pflag calls it.
func (s *sizeFlag) Type() string { return "SIZE" }

// Set is given what the user wrote.
func (s *sizeFlag) Set(text string) error {
	n, err := parseSize(text)
	*s = sizeFlag(n)
	return err
}

var (
	errNoSize   = errors.New("want a number of bytes, at least 1, such as 1000, 64M or 64MiB (in powers of 1024) or 64MB (of 1000)")
	errTooLarge = errors.New("more than 2^63-1 bytes")
)

// parseSize returns the bytes that text says, at least 1, as split(1) and
// dd(1) take them: 64M and 64MiB are 64 times 1024², 64MB is 64 times 1000².
// The letter may be a small one, as in kB.
func parseSize(text string) (int64, error) {
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
