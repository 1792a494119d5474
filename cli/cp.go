package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) cp() *cobra.Command {
	var (
		choose            chooser
		recursive, header bool
		size              sizeFlag
		existing          bool
		retries           int
		progress          progressFlag
	)
	cmd := &cobra.Command{
		Use:   "cp SRC... DST",
		Short: "copy files to keys, keys to files or keys to keys; - is stdin or stdout",
		Long: `Copy between local files and keys. One of SRC and DST starts with s4://, the
other is a path, or - for standard input or output. A DST that ends in a slash,
is a directory or is a bucket keeps the name of SRC. Keys are immutable: an
existing one is not replaced. Local files are, when all is there and verified.

If both start with s4://, the servers copy among themselves, and nothing passes through
here. Names with the same last segment are on the same server, which gives the bytes a
second name in no time; else the source's server sends them. A copy has the time of its
source.

With -r, SRC is a directory, local or of keys, and all below it is copied in
parallel over all servers.

With several SRC, DST is a directory, made if it ends in a slash or with -r; each keeps
its name. A SRC of keys may have wildcards, as in 's4://bucket/2024-*/part_?': * and ?
match no slash, ** any directories. The keys that match are copied by their paths from
the first segment with a wildcard on, with -r matching directories, too. --from-file
takes SRC from a list, as they are.

--include and --exclude choose among files below SRC, by their paths relative to it. Of
several, the last that matches counts; if the first is --include, all else is left out.
'*.txt' stands for such files in every directory, tmp for all below a directory tmp,
'a/*.txt' for such files in a.

With --skip-existing, what is there with the same size is skipped and counted: a copy
that was interrupted can be repeated. A key of another size is an error. The content is
not compared: see 's4 sync --checksum'.

A transfer that breaks, as a server is restarted or does not answer, is tried up to 3
more times, or as --retries says, if SRC can be read again: a file can, stdin and stdout
cannot. Before each, the server is waited for, for up to 10 seconds. If the key of an
upload whose answer was lost exists with the file's size and xxh64, it is done.

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
  s4 cp -r s4://bucket/out/ out/
  s4 cp -r --skip-existing dir s4://bucket/dir
  s4 cp a.csv b.csv s4://bucket/in/
  s4 cp s4://bucket/out/000 s4://other/in/
  s4 cp -r s4://bucket/out s4://other/out
  s4 cp 's4://bucket/2024-*/part_?' out/
  s4 cp -r -n --exclude .git --exclude '*.o' . s4://bucket/src
  find . -name '*.csv' -print0 | s4 cp --from-file - -0 s4://bucket/in/`,
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			if choose.from != "" && len(args) == 0 {
				return wrongArgs("DST with --from-file", args)
			}
			if choose.from == "" && len(args) < 2 {
				return wrongArgs("SRC... DST", args)
			}
			if err := refuseS3(args); err != nil {
				return err
			}
			srcs, dst := args[:len(args)-1], args[len(args)-1]
			opts := s4.CopyOptions{Recursive: recursive, Stdin: a.stdin, Stdout: a.stdout,
				Glob: choose.globs(), Filter: &choose.filter, DryRun: choose.dryRun,
				SkipExisting: existing, Retries: retries}
			many := choose.from != "" || len(srcs) > 1
			pattern := len(srcs) == 1 && strings.HasPrefix(srcs[0], s4.Scheme) && choose.glob(srcs[0])
			switch split := size > 0; {
			case choose.filtered && !recursive && !many && !pattern:
				return usagef("--include and --exclude are for -r, for patterns and for many sources")
			case split && (many || choose.dryRun):
				return usagef("--split-lines cuts one file, and has no dry run")
			case retries < 0:
				return usagef("--retries must not be negative")
			case existing && split:
				return usagef("--skip-existing is not for --split-lines")
			case existing && !many && (srcs[0] == "-" || dst == "-"):
				return usagef("--skip-existing is for files: stdin and stdout have no size")
			case header && !split:
				return usagef("--header is for --split-lines")
			case split && recursive:
				return usagef("--split-lines cuts one file: leave it or -r off")
			case split && strings.HasPrefix(args[0], s4.Scheme):
				return usagef("--split-lines is for copies from a file or stdin to keys: leave it off")
			case split:
				opts.Split = &s4.SplitOptions{Size: int64(size), Header: header}
			}
			names, err := choose.names(ctx, a, srcs)
			if err != nil {
				return err
			}
			cp := &copying{app: a, c: c, verb: "cp", progress: progress, opts: opts}
			return cp.start(ctx, func() error {
				if !many {
					return cp.copy(ctx, srcs[0], dst, pattern)
				}
				return cp.copyAll(ctx, names, dst, choose.from != "-")
			})
		}),
	}
	f := cmd.Flags()
	progress.register(f)
	a.compress.register(f, "on the network")
	f.BoolVarP(&recursive, "recursive", "r", false, "copy everything below SRC")
	f.Var(&size, "split-lines", "cut SRC at line ends into keys of about `SIZE` bytes, as in 64M")
	f.BoolVar(&header, "header", false, "with --split-lines, repeat the first line in every part")
	f.BoolVar(&existing, "skip-existing", false, "skip what is there with the same size")
	f.IntVar(&retries, "retries", defaultRetries, "try a transfer that breaks up to `N` more times")
	choose.registerDryRun(f)
	choose.registerFilter(f)
	choose.registerGlob(f)
	choose.registerFrom(f, "sources")
	return cmd
}

// defaultRetries is how often a transfer that breaks is tried again: one restart of a
// server breaks it once.
const defaultRetries = 3
