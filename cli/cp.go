package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) cp() *cobra.Command {
	var (
		recursive, header bool
		size              sizeFlag
	)
	cmd := &cobra.Command{
		Use:   "cp SRC DST",
		Short: "copy a file to a key, or a key to a file; - is stdin or stdout",
		Long: `Copy between local files and keys. One of SRC and DST starts with s4://, the
other is a path, or - for standard input or output. A DST that ends in a slash,
is a directory or is a bucket keeps the name of SRC. Keys are immutable: an
existing one is not replaced. Local files are, when all is there and verified.

With -r, SRC is a directory, local or of keys, and all below it is copied in
parallel over all servers.

With --split-lines, SRC is a file or standard input and becomes many keys: it is
cut at line ends, and each part is named by its number and the name in DST,
00000_data.csv, 00001_data.csv and so on, or the number alone for standard input
that is given no name. Numbered keys are spread over the servers evenly. A part
ends with the first line that ends at or after SIZE bytes, whatever the length
of the line: it is longer than SIZE by less than a line. The parts together are
SRC, byte for byte; an empty SRC makes none. SIZE is in bytes or has a unit: K,
M, G, T or KiB, MiB, GiB, TiB in powers of 1024, and kB, MB, GB, TB of 1000. A
part that fails ends the copy; the parts before it stay.

With --header, every part begins with the first line of SRC, at most 1 MiB. SIZE
is without it.

On the network, bytes are compressed with lz4 while that gets them there sooner:
where the network is what is slow, the data shrinks and a core is free. With
--compress always, all that shrinks is; with never, nothing.`,
		Example: `  s4 cp data.csv s4://bucket/in/
  seq 1000 | s4 cp - s4://bucket/in/000
  s4 cp s4://bucket/out/000 - | sort
  s4 cp -r dir s4://bucket/dir
  s4 cp --split-lines 64M --header data.csv s4://bucket/in/
  s4 cp -r s4://bucket/out/ out/`,
		Args: cobra.ExactArgs(2),
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			src, dst := args[0], args[1]
			up, down := s4.IsRemote(dst), s4.IsRemote(src)
			switch split := size > 0; {
			case header && !split:
				return usagef("--header is for --split-lines")
			case split && recursive:
				return usagef("--split-lines cuts one file: leave it or -r off")
			case split && down:
				return usagef("--split-lines is for copies from a file or stdin to keys: leave it off")
			case split && up:
				return a.putSplit(ctx, c, src, dst, s4.SplitOptions{Size: int64(size), Header: header})
			}
			switch {
			case up && down:
				return usagef("both SRC and DST are remote: copy with 's4 map SRC/ DST/ cat', or 's4 cp SRC - | s4 cp - DST'")
			case up && recursive:
				return a.putTree(ctx, c, src, dst)
			case up:
				return a.put(ctx, c, src, dst)
			case down && recursive:
				return a.getTree(ctx, c, src, dst)
			case down:
				return a.get(ctx, c, src, dst)
			}
			return usagef("neither SRC nor DST starts with s4://")
		}),
	}
	f := cmd.Flags()
	a.compress.register(f, "on the network")
	f.BoolVarP(&recursive, "recursive", "r", false, "copy everything below SRC")
	f.Var(&size, "split-lines", "cut SRC at line ends into keys of about `SIZE` bytes, as in 64M")
	f.BoolVar(&header, "header", false, "with --split-lines, repeat the first line in every part")
	return cmd
}

func (a *app) put(ctx context.Context, c *s4.Client, src, dst string) error {
	a.subject = dst
	key, err := s4.UploadKey(src, dst)
	if err != nil {
		return usageError{err}
	}
	if src == "-" {
		if closedAtStart(a.stdin) {
			return errNoStdin
		}
		err = c.Put(ctx, key, a.stdin, -1)
	} else {
		err = c.PutFile(ctx, src, key)
	}
	if err != nil || !a.json {
		return err
	}
	var size *int64
	if o, serr := c.Stat(ctx, key); serr == nil { // without a size if this fails: the copy itself is done
		size = &o.Size
	}
	return a.line("", copyObject{Src: text(src), Dst: text(key), Size: size})
}

func (a *app) get(ctx context.Context, c *s4.Client, src, dst string) error {
	a.subject = src
	if strings.HasSuffix(src, "/") {
		return usagef("%s is a directory of keys: use -r for all below it", src)
	}
	if dst == "-" {
		if closedAtStart(a.stdout) {
			return errNoStdout
		}
		_, err := c.Get(ctx, src, a.stdout)
		return err
	}
	file, err := s4.DownloadPath(src, dst)
	if err != nil {
		return err
	}
	o, err := c.GetFile(ctx, src, file)
	if err != nil || !a.json {
		return err
	}
	return a.line("", copyObject{Src: text(src), Dst: text(file), Size: &o.Size})
}

// copyObject is one copied file as --json prints it.
type copyObject struct {
	Src     text   `json:"src"`
	Dst     text   `json:"dst,omitempty"`
	Size    *int64 `json:"size,omitempty"`
	Skipped text   `json:"skipped,omitempty"`
}

func (a *app) putTree(ctx context.Context, c *s4.Client, src, dst string) error {
	a.subject = dst
	if src == "-" {
		return usagef("stdin is one key: leave -r off")
	}
	switch fi, err := os.Stat(src); {
	case err != nil:
		return err
	case !fi.IsDir():
		return fmt.Errorf("%s is not a directory (leave -r off to copy a file)", src)
	}
	t := copyCounts{what: "file"}
	err := c.PutTree(ctx, src, dst, func(r s4.Transfer) { a.each(&t, r.Path, r.Key, r) })
	return a.summary(&t, err, "no regular file below "+src)
}

func (a *app) getTree(ctx context.Context, c *s4.Client, src, dst string) error {
	a.subject = src
	if dst == "-" {
		return usagef("stdout takes one key: leave -r off")
	}
	dst = s4.DownloadDir(src, dst)
	t := copyCounts{what: "file"}
	err := c.GetTree(ctx, src, dst, func(r s4.Transfer) { a.each(&t, r.Key, r.Path, r) })
	if errors.Is(err, s4.ErrNotFound) && !strings.HasSuffix(src, "/") {
		if _, serr := c.Stat(ctx, src); serr == nil {
			return fmt.Errorf("it is a key, not a directory of keys (leave -r off)")
		}
	}
	return a.summary(&t, err, "")
}

// copyCounts counts the outcomes of a copy of many keys.
type copyCounts struct {
	what                           string // what is counted, in the singular
	copied, failed, skipped, bytes int64
	existing                       int64         // keys that exist already
	exists                         []s4.Transfer // the first of those
}

// maxExisting is how many existing keys are reported by an error each. If there are
// more, the copy has most likely run before, and one line says how many.
const maxExisting = 3

// each takes note of one transfer. It is called by one goroutine at a time.
func (a *app) each(t *copyCounts, src, dst string, r s4.Transfer) {
	switch {
	case r.Skip:
		t.skipped++
		a.note("s4: cp %s: skipped: %s", oneLine(src), oneLine(r.Err.Error()))
		if a.json {
			_ = a.line("", copyObject{Src: text(src), Skipped: text(r.Err.Error())}) // there is no copy to fail
		}
	case errors.Is(r.Err, s4.ErrCanceled):
		// Interrupted: reported once, at the end.
	case errors.Is(r.Err, s4.ErrExists) && !a.json:
		t.existing++
		if len(t.exists) < maxExisting {
			t.exists = append(t.exists, r)
		}
	case r.Err != nil:
		t.failed++
		a.subject = r.Key
		a.report("cp", r.Err)
	default:
		t.copied++
		t.bytes += r.Size
		if a.json {
			_ = a.line("", copyObject{Src: text(src), Dst: text(dst), Size: &r.Size}) // the copy is done even if this fails
		}
	}
}

// summary prints the last line of a copy of many keys and returns the command's error.
// none, if not empty, is the error if there was nothing to copy.
func (a *app) summary(t *copyCounts, err error, none string) error {
	if err == nil && t.copied+t.failed+t.existing == 0 && none != "" {
		return errors.New(none)
	}
	if t.existing > 0 && t.existing <= maxExisting {
		for _, r := range t.exists {
			a.subject = r.Key
			a.report("cp", r.Err)
		}
		t.failed, t.existing = t.failed+t.existing, 0
	}
	if t.failed+t.existing > 0 {
		var p parts
		p.add(true, "%s copied", count(t.copied, t.what))
		p.add(t.existing > 0, "%d keys exist already, not copied", t.existing)
		p.add(t.failed > 0, "%d failed", t.failed)
		a.print("cp", "", p.String())
		if err == nil {
			return errReported
		}
		return err
	}
	if err == nil || errors.Is(err, s4.ErrCanceled) {
		skipped := ""
		if t.skipped > 0 {
			skipped = fmt.Sprintf(", %d skipped", t.skipped)
		}
		a.note("copied %s, %s%s", count(t.copied, t.what), bytes(t.bytes), skipped)
	}
	return err
}
