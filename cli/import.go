package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) importVerb() *cobra.Command {
	var (
		f     s3Flags
		o     S3Import
		split sizeFlag
	)
	cmd := &cobra.Command{
		Use:   "import S3URL OUTDIR",
		Short: "copy objects of S3 to keys, straight to the servers",
		Long: `Copy all objects below s3://bucket/prefix/ to keys below OUTDIR, by their path after the
prefix; without a slash at its end, s3://bucket/key may also be one object. Every server
fetches those whose keys it will have, large ones in several ranges at once.

It is a map job: either all keys appear at once or none, s4 jobs shows it, and --keep-going,
--resume, --detach and the others are as there. Every object is compared with the best
checksum that S3 has of it: CRC64NVME, CRC32C, CRC32, SHA256, SHA1, or the MD5 that the ETag
of an object of one part is. One that has changed since it was listed is an error.

Objects whose names s4 does not take, as they have spaces, are an error before anything is
fetched. Empty objects whose names end in a slash stand for directories, and are left out.

--split-lines cuts objects that are larger than SIZE at line ends into keys 00000_NAME,
00001_NAME and so on, which together are the object, byte for byte: the lines that begin in
each SIZE bytes are a key. If none does, it is empty. Parts are not compared with a
checksum of S3, which has only that of the whole.

--decompress unpacks objects called .gz, .zst and .lz4, and takes that off their names.

Credentials are found on each server as the AWS tools find them: environment, shared files,
the role of container or instance. This machine needs some, too, to list the objects.
--send-credentials has the servers use this machine's: they are sealed with the cluster's
secret on their way, and never stored or shown.

What speaks S3 is in a program beside s4, s4-s3, which this verb starts. Every server
needs it, too.`,
		Example: `  s4 import s3://bucket/in/ s4://bucket/in/
  s4 import --include '*.csv.gz' --decompress s3://bucket/in/ s4://bucket/in/
  s4 import --split-lines 64M s3://bucket/all.csv s4://bucket/in/
  s4 import --endpoint-url http://localhost:9000 --send-credentials s3://bucket/ s4://bucket/in/`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wantArgs(2, 2)(cmd, args); err != nil {
				return err
			}
			if err := checkS3URL(args[0]); err != nil {
				return err
			}
			return f.check()
		},
	}
	cmd.RunE = a.run(func(ctx context.Context, c *s4.Client, args []string) error {
		if a.s3 == nil {
			return a.become(s3Program)
		}
		a.subject = args[0]
		o.S3Options, o.Source, o.Outdir, o.Filter, o.SplitLines = f.S3Options, args[0], args[1], &f.filter, int64(split)
		plan, err := a.askS3(args[0], func() (*S3Job, error) { return a.s3.Import(ctx, &o) })
		if err != nil {
			return err
		}
		if plan.Skipped > 0 {
			a.note("%s left out because of their names", count(int64(plan.Skipped), "object"))
		}
		j, err := f.s3Job(ctx, a, "import", plan)
		if err != nil {
			return err
		}
		j.outdir = args[1]
		return a.runS3(ctx, c, j, &f)
	})
	fl := cmd.Flags()
	f.register(fl)
	f.registerFilter(fl)
	fl.BoolVar(&f.resume, "resume", false, "fetch only what does not exist as a key")
	fl.Var(&split, "split-lines", "cut objects larger than `SIZE` at line ends into numbered keys")
	fl.BoolVar(&o.Decompress, "decompress", false, "unpack objects called .gz, .zst and .lz4")
	fl.BoolVar(&o.SkipBadNames, "skip-bad-names", false, "leave out objects whose names s4 does not take")
	return cmd
}
