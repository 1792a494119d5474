package cli

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/nathants/s4"
)

// colorFlag is --color: auto, always or never.
type colorFlag string

func (c *colorFlag) register(f *pflag.FlagSet) {
	*c = "auto"
	f.Var(c, "color", "print in color: auto is on a terminal unless NO_COLOR is set, always or never; `WHEN`")
}

// String returns the word.
func (c *colorFlag) String() string { return string(*c) }

// Type is what pflag calls it.
func (c *colorFlag) Type() string { return "WHEN" }

// Set is given what the user wrote.
func (c *colorFlag) Set(text string) error {
	switch text {
	case "auto", "always", "never":
		*c = colorFlag(text)
		return nil
	}
	return errors.New("want auto, always or never")
}

// painter returns what paints what is printed to w.
func (c colorFlag) painter(w io.Writer) painter {
	if c == "auto" {
		f, ok := w.(*os.File)
		// Any text in NO_COLOR means no color, see no-color.org.
		return painter(ok && isTerminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
	}
	return c == "always"
}

// color is how text is shown: the parameters of SGR, see console_codes(4).
type color string

// Colors mean something. All but one have the same length, so that columns of a table
// stay aligned which count them as characters.
const (
	colorNone color = "39" // the terminal's own
	colorBad  color = "31" // red: it failed, it is unhealthy
	colorGood color = "32" // green: it is healthy, it runs
	colorLate color = "33" // yellow: it takes long, or waits for somebody
	colorDir  color = "1;34"
)

// painter shows text in color, or leaves it as it is.
type painter bool

func (p painter) paint(c color, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// jobColor returns the color of a job's state.
func jobColor(s s4.JobState) color {
	switch s {
	case s4.JobRunning, s4.JobPublishing:
		return colorGood
	case s4.JobFailed, s4.JobPartly:
		return colorBad
	case s4.JobSuspended, s4.JobUnsettled:
		return colorLate
	}
	return colorNone
}

// taskColor returns the color of a task's state.
func taskColor(s s4.TaskState) color {
	switch s {
	case s4.TaskRunning:
		return colorGood
	case s4.TaskFailed:
		return colorBad
	case s4.TaskRetried:
		return colorLate
	}
	return colorNone
}
