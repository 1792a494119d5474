package flags

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errNoPeriod = errors.New("want a length of time, such as 90m, 24h or 7d")

// Period is the value of a flag that takes a length of time as time.ParseDuration does,
// or in days, as in 7d.
type Period time.Duration

// String implements pflag.Value.
func (p *Period) String() string { return time.Duration(*p).String() }

// Type implements pflag.Value.
func (p *Period) Type() string { return "D" }

// Set implements pflag.Value.
func (p *Period) Set(text string) error {
	const day = 24 * time.Hour
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			*p = Period(time.Duration(n) * day)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errNoPeriod
	}
	*p = Period(d)
	return nil
}
