package cli

import (
	stdbytes "bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) head() *cobra.Command {
	var (
		choose chooser
		size   sizeFlag
		lines  int64
	)
	cmd := &cobra.Command{
		Use:   "head KEY... [-c SIZE | -n N]",
		Short: "print the first lines or bytes of keys",
		Long: `Print the first 10 lines of a key, or N lines, or SIZE bytes, as in 64k. Only what is
printed is asked for, or little more: the size of the key does not matter. The bytes
are checked for damage on their way, but not against the key's checksum, which is of
all its bytes. Of several keys, each has a line with its name before it, unless -q.`,
		Example: `  s4 head s4://bucket/in/000
  s4 head -n 1 's4://bucket/in/*.csv'
  s4 head -c 1M s4://bucket/in/000 >sample`,
		Args: wantArgs(1, -1),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if closedAtStart(a.stdout) {
				return errNoStdout
			}
			titled := !a.quiet && (len(args) > 1 || choose.glob(args[0]))
			return unlessStuck(ctx, func() error {
				out := sink{w: a.stdout}
				gap := ""
				return a.eachKey(ctx, c, "head", &choose, args, func(key string) error {
					title := ""
					if titled {
						title = gap + "==> " + key + " <==\n"
					}
					h := &header{out: &out, title: title, lines: lines, bytes: -1}
					if size > 0 {
						h.lines, h.bytes = -1, int64(size)
					}
					err := h.read(ctx, c, key)
					if h.title == "" {
						gap = "\n"
					}
					return out.mark(err)
				})
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&a.conf, "conf", "", "cluster `FILE`, without -c here (default $S4_CONF_PATH, else ~/.s4.conf)")
	f.VarP(&size, "bytes", "c", "print the first `SIZE` bytes")
	f.Int64VarP(&lines, "lines", "n", 10, "print the first `N` lines")
	choose.registerGlob(f)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case lines < 0:
			return fmt.Errorf("--lines %d: want 0 or more", lines)
		case size > 0 && cmd.Flags().Changed("lines"):
			return errors.New("--bytes and --lines exclude each other")
		}
		return nil
	}
	return cmd
}

// headLines returns args with -n before a number of lines that head is given as -2, which
// is how head(1) was once told.
func headLines(args []string) []string {
	var out []string
	for i, arg := range args {
		n, dash := strings.CutPrefix(arg, "-")
		switch _, err := strconv.ParseUint(n, 10, 63); {
		case arg == "--":
			return append(out, args[i:]...)
		case dash && err == nil && !isHeadValue(args[:i]):
			out = append(out, "-n", n)
		default:
			out = append(out, arg)
		}
	}
	return out
}

// isHeadValue reports whether what comes after args, which has the verb, is the value of a flag.
func isHeadValue(args []string) bool {
	return slices.Contains([]string{"-n", "--lines", "-c", "--bytes", "--conf", "--secret-file"}, args[len(args)-1])
}

// Bytes that head asks for at once: at first as many as ten lines rarely exceed, and
// then twice as many each time.
const (
	firstAsk = 16 << 10
	lastAsk  = 16 << 20
)

// header prints the beginning of a key.
type header struct {
	out   io.Writer
	title string // to print before the first byte
	lines int64  // that are left to print, or -1 for all
	bytes int64  // that are left to print, or -1 for all
}

// read asks for the key piece by piece until enough is printed. A key that is another
// than it was for the piece before is an error.
func (h *header) read(ctx context.Context, c *s4.Client, key string) error {
	var was s4.Object
	for off, ask := int64(0), int64(firstAsk); ; ask = min(2*ask, lastAsk) {
		if h.bytes >= 0 {
			ask = h.bytes
		}
		o, err := c.GetRange(ctx, key, off, ask, h)
		if err != nil {
			return err
		}
		if off > 0 && o != was {
			return fmt.Errorf("it was replaced while it was read")
		}
		was = o
		if off += ask; h.lines == 0 || h.bytes == 0 || off >= o.Size {
			_, err := h.Write(nil) // the title of an empty key
			return err
		}
	}
}

// Write prints what is wanted of p.
func (h *header) Write(p []byte) (int, error) {
	if h.title != "" {
		if _, err := io.WriteString(h.out, h.title); err != nil {
			return 0, err
		}
		h.title = ""
	}
	want := p
	if h.lines >= 0 {
		want = want[:h.cut(p)]
	}
	if h.bytes >= 0 {
		want = want[:min(int64(len(want)), h.bytes)]
		h.bytes -= int64(len(want))
	}
	if len(want) > 0 {
		if n, err := h.out.Write(want); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// cut returns where in p the last line that is wanted ends.
func (h *header) cut(p []byte) int {
	at := 0
	for h.lines > 0 {
		i := stdbytes.IndexByte(p[at:], '\n')
		if i < 0 {
			return len(p)
		}
		at += i + 1
		h.lines--
	}
	return at
}
