package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

// abortTime is how long the uploads of an export that failed are looked for.
const abortTime = 10 * time.Second

func (a *app) exportVerb() *cobra.Command {
	var (
		f      s3Flags
		o      S3Export
		marker bool
	)
	cmd := &cobra.Command{
		Use:   "export INDIR S3URL",
		Short: "copy keys to objects of S3, straight from the servers",
		Long: `Copy all keys below INDIR to objects below s3://bucket/prefix/, by their path below INDIR.
Every server uploads its own keys, large ones in parts, and has no more transfers at once
than its --max-io-jobs. S3 compares each part, and each object, with its CRC64NVME, and
keeps that and, as metadata s4-xxh64, the checksum that s4 has. s4 import of what was
exported gives the same names and bytes.

It is a map job that writes no keys: s4 jobs shows it, and --keep-going, --detach and the
others are as there. What is in S3 when it fails stays there, as S3 has no way to have many
objects appear at once: --success-marker writes an empty object _SUCCESS when all is
there, and removes one of before at the beginning; --resume leaves out what is there with
the same size and checksum. Existing objects are replaced, unless --no-clobber.

Parts of uploads that were cut off are removed. Where that is not possible, because this
machine cannot reach S3 itself, a lifecycle rule of the bucket should do so.

For credentials, see s4 import; this machine needs none to export.

What speaks S3 is in a program beside s4, s4-s3, which this verb starts. Every server
needs it, too.`,
		Example: `  s4 export s4://bucket/out/ s3://bucket/results/
  s4 export --success-marker --resume s4://bucket/out/ s3://bucket/results/`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wantArgs(2, 2)(cmd, args); err != nil {
				return err
			}
			if err := checkS3URL(args[1]); err != nil {
				return err
			}
			switch {
			case marker && f.detach:
				return errors.New("--success-marker needs this command to stay: leave it or --detach off")
			case o.Resume && o.NoClobber:
				return errors.New("--resume replaces objects that differ, and --no-clobber none: give one of them")
			}
			return f.check()
		},
	}
	cmd.RunE = a.run(func(ctx context.Context, c *s4.Client, args []string) error {
		if a.s3 == nil {
			return a.become(s3Program)
		}
		if err := f.checkDir(args[0]); err != nil {
			return err
		}
		a.subject = args[0]
		f.Unseen = true
		meant := s4.JobOptions{NoGlob: f.choose.noGlob}
		if f.choose.filtered {
			meant.Filter = &f.choose.filter
		}
		plans, err := c.Explain(ctx, s4.VerbMap, args[0], "", "true", &meant)
		if err != nil {
			return err
		}
		o.S3Options, o.Indir, o.Dest, o.NoGlob, o.Marked = f.S3Options, args[0], args[1], f.choose.noGlob, marker
		for _, p := range plans {
			o.Keys += p.Keys
			o.Bytes += p.Bytes
		}
		plan, err := a.askS3(args[1], func() (*S3Job, error) { return a.s3.Export(ctx, &o) })
		if err != nil {
			a.subject = args[1]
			return err
		}
		j, err := f.s3Job(ctx, a, "export", plan)
		if err != nil {
			return err
		}
		j.indir = args[0]
		mark := func(cmd string) error {
			m := *j
			m.cmd, m.indir, m.opts = cmd, "", s4.JobOptions{Retries: f.retries, ServerWait: time.Duration(f.serverWait),
				Manifest: []s4.ManifestTask{{Name: "_SUCCESS"}}, Secrets: plan.Secrets, SecretsInClear: f.inClear}
			a.subject = strings.TrimSuffix(args[1], "/") + "/_SUCCESS"
			_, err := m.start(ctx, c)
			return err
		}
		if marker && !f.explain {
			if err := mark(plan.Unmark); err != nil {
				return a.withoutS3(err)
			}
			a.subject = args[0]
		}
		err = a.runS3(ctx, c, j, &f)
		if f.explain || f.detach {
			return err
		}
		a.abortUploads(ctx, c, plan, err)
		if err != nil || !marker {
			return err
		}
		return mark(plan.Marker)
	})
	fl := cmd.Flags()
	f.register(fl)
	f.choose.registerFilter(fl)
	f.choose.registerGlob(fl)
	fl.BoolVar(&o.Resume, "resume", false, "leave out objects that are there with the same size and checksum")
	fl.BoolVar(&o.NoClobber, "no-clobber", false, "leave out objects that are there")
	fl.BoolVar(&marker, "success-marker", false, "write an empty object _SUCCESS when all others are there, and not before")
	return cmd
}

// abortUploads removes what uploads of an export have left that could not do so
// themselves: those of tasks that were killed, with the job or with a server.
func (a *app) abortUploads(ctx context.Context, c *s4.Client, p *S3Job, failed error) {
	if failed == nil && !a.lost && !a.retried {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	n, err := p.Abort(ctx, c)
	if n > 0 {
		a.note("removed the parts of %s", count(int64(n), "upload"))
	}
	if err != nil {
		a.note("parts of uploads may be left in S3: %v", err)
	}
}
