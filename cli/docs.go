package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
)

func (a *app) docs() *cobra.Command {
	return &cobra.Command{
		Use:   "docs [manual|protocol]",
		Short: "print the manual, or the protocol",
		Long: `Print the manual, which is README.md, or the protocol, PROTOCOL.md, as they were
when this program was built. Asks no server. On a terminal, through $PAGER, or less
if that is not set; --quiet leaves the pager out.`,
		Example: `  s4 docs
  s4 docs protocol | grep -n PREAMBLE`,
		Args:      oneOf(0),
		ValidArgs: []cobra.Completion{"manual", "protocol"},
		RunE: func(_ *cobra.Command, args []string) error {
			text := s4.Manual()
			if len(args) == 1 && args[0] == "protocol" {
				text = s4.Protocol()
			}
			if f, ok := a.stdout.(*os.File); ok && isTerminal(f) && !a.quiet {
				if err := page(f, text); err != nil {
					return failure{err}
				}
			}
			if _, err := io.WriteString(a.stdout, text); err != nil {
				return failure{err}
			}
			return nil
		},
	}
}

// pager is what the shell runs to show standard input.
const pager = `if [ -n "${PAGER-}" ]; then eval "exec $PAGER"; fi
command -v less >/dev/null && exec less
exec cat`

// page becomes the pager, with text as its standard input. It returns only if that
// cannot be done. A child process would have to share the terminal, its signals and
// its exit code with this one, which has nothing left to do.
func page(stdout *os.File, text string) error {
	fd, err := unix.MemfdCreate("s4-docs", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("memory for the pager: %w", err)
	}
	in := os.NewFile(uintptr(fd), "s4-docs")
	defer in.Close()
	if _, err := io.WriteString(in, text); err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for i, f := range []*os.File{in, stdout} {
		if err := unix.Dup3(int(f.Fd()), i, 0); err != nil && int(f.Fd()) != i {
			return fmt.Errorf("files of the pager: %w", err)
		}
	}
	return fmt.Errorf("start the pager: %w", unix.Exec("/bin/sh", []string{"sh", "-c", pager}, os.Environ()))
}
