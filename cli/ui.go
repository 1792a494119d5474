package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
)

// Page is the web page of a cluster.
type Page interface {
	// Path returns the path of its first page.
	Path() string

	// Serve answers on ln, and closes it, until the context of Pages.New ends.
	Serve(ln net.Listener) error
}

// Pages makes web pages: package ui, which this one does not import, because net/http
// alone makes s4 start 0.4 ms later.
type Pages struct {
	// New makes the page of c's cluster. It lasts until ctx ends.
	New func(ctx context.Context, c *s4.Client, host string, exposed bool) (Page, error)

	// Open shows an address in a browser. The caller calls done in the end.
	Open func(address string) (done func(), err error)
}

// Programs that are installed beside s4.
const (
	uiProgram = "s4-ui" // s4 with Pages
	s3Program = "s4-s3" // s4 with an S3
)

// become turns this process into one of another program. It returns only if that fails.
func (a *app) become(program string) error {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	if self, err := os.Executable(); err == nil {
		dirs = append([]string{filepath.Dir(self)}, dirs...)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, program)
		if !filepath.IsAbs(path) || unix.Access(path, unix.X_OK) != nil {
			continue
		}
		return fmt.Errorf("%s: %w", path, unix.Exec(path, append([]string{path}, a.args...), os.Environ()))
	}
	return fmt.Errorf("there is no %s beside s4 or on PATH (make install has it)", program)
}

func (a *app) ui() *cobra.Command {
	var (
		listen       string
		open, expose bool
	)
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "show servers, keys and jobs on a web page",
		Long: `Serve a web page on this machine, until Ctrl-C, and print its address. It shows the
servers, the buckets with their directories and sizes, and the jobs; of a job how far it is,
its tasks on a timeline for each server, what each server has read and for how long it has
worked, the slowest tasks, those that failed with what they wrote to stderr, and what a
shuffle has sent from which server to which. It can
cancel and resume jobs. It asks the servers every second while a browser shows it, and not
otherwise.

Whoever has the address can do all that the page can: it has a random token in it, which is
another one for each run. --listen takes loopback addresses only; --expose lets it take
others, for all who can reach them and have the address, which goes over the network as
plain text. To look from another machine, ssh -L is the better way.

The page is in a program beside s4, s4-ui, which this verb starts.

A job that is resumed on the page has this command for its client: when it ends, the job
is suspended again.`,
		Example: `  s4 ui --open
  s4 ui --listen 127.0.0.1:8080`,
		Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, c *s4.Client, _ []string) error {
			host, err := pageHost(listen, expose)
			if err != nil {
				return err
			}
			if a.pages == nil {
				return a.become(uiProgram)
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("%w (give another --listen, or port 0)", err)
			}
			page, err := a.pages.New(ctx, c, host, expose)
			if err != nil {
				ln.Close()
				return err
			}
			address := "http://" + ln.Addr().String() + page.Path()
			if err := a.line(address, map[string]any{"url": address}); err != nil {
				ln.Close()
				return err
			}
			if open {
				if done, err := a.pages.Open(address); err != nil {
					a.note("%v: open the address yourself", err)
				} else {
					defer done()
				}
			}
			return page.Serve(ln)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:0", "serve on `ADDR`, with port 0 on any that is free")
	f.BoolVar(&open, "open", false, "open the page in the desktop's browser")
	f.BoolVar(&expose, "expose", false, "let --listen take an address that other machines can reach")
	return cmd
}

// pageHost returns the host name in the address that a page is served on, or "" if it has
// none. Unless exposed, the address must be one of loopback.
func pageHost(listen string, exposed bool) (string, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usagef("--listen %s: no address, as in 127.0.0.1:8080", listen)
	}
	addr, err := netip.ParseAddr(host)
	isName := err != nil && host != ""
	if !exposed && host != "localhost" && !addr.IsLoopback() {
		return "", usagef("--listen %s: other machines can reach it (listen on 127.0.0.1, or give --expose)", listen)
	}
	if isName {
		return host, nil
	}
	return "", nil
}
