package cli

import (
	"context"
	"strconv"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

func (a *app) putSplit(ctx context.Context, c *s4.Client, src, dst string, opts s4.SplitOptions) error {
	a.subject = dst
	t := copyCounts{what: "part"}
	each := func(r s4.Transfer) { a.each(&t, src, r.Key, r) }
	if src == "-" {
		if closedAtStart(a.stdin) {
			return errNoStdin
		}
		return a.summary(&t, c.PutSplit(ctx, a.stdin, dst, opts, each), "")
	}
	key, err := s4.UploadKey(src, dst)
	if err != nil {
		return usageError{err}
	}
	return a.summary(&t, c.PutSplitFile(ctx, src, key, opts, each), "")
}

// sizeFlag is a flag that takes a number of bytes; 0 means that it was not given.
type sizeFlag int64

func (s *sizeFlag) String() string { return strconv.FormatInt(int64(*s), 10) }

// Type is what pflag calls it.
func (s *sizeFlag) Type() string { return "SIZE" }

// Set is given what the user wrote.
func (s *sizeFlag) Set(text string) error {
	n, err := flags.ParseSize(text)
	*s = sizeFlag(n)
	return err
}
