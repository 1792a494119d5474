package cli

import (
	"errors"
	"time"

	"github.com/nathants/s4/cli/flags"
)

// timeFlag is a flag that takes a point in time; zero is not given.
type timeFlag time.Time

func (t *timeFlag) String() string {
	if time.Time(*t).IsZero() {
		return ""
	}
	return time.Time(*t).Format(time.RFC3339)
}

// Type is what pflag calls it.
func (t *timeFlag) Type() string { return "TIME" }

// Set is given what the user wrote.
func (t *timeFlag) Set(text string) error {
	at, err := parseTime(text, time.Now())
	*t = timeFlag(at)
	return err
}

var errNoTime = errors.New(`want a time such as 2006-01-02, "2006-01-02 15:04" or 2006-01-02T15:04:05Z, or how long ago it is, such as 90m, 36h or 7d`)

// parseTime returns the time that text says, in the local time zone unless it has one.
func parseTime(text string, now time.Time) (time.Time, error) {
	var ago flags.Period
	if ago.Set(text) == nil {
		return now.Add(-time.Duration(ago)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errNoTime
}
