package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// mapHelpText describes one of the map verbs.
type mapHelpText struct {
	verb                 s4.Verb
	short, long, example string
	run                  func(c *s4.Client, ctx context.Context, indir, outdir, cmd string, o *s4.JobOptions) (s4.JobResult, error)
}

const mapCommon = `

INDIR may hold globs, *, ?, [a-z] and [^a-z], each matched within one path segment:
there is no {a,b}, no ** and no [!a-z]; with --no-glob it is taken as it is. Of several
INDIRs the keys of all are meant, each with its path below its own; if two would be
written to one place, nothing is run. --include and --exclude choose by these paths, as in
s4 cp. With --from-file FILE, its lines are the keys that are meant: paths below INDIR, or
names of keys below it; one that does not exist is an error before anything is run.

CMD is bash, with errexit, nounset and pipefail, in an empty directory of its own, on the
server that has the key. Either every task succeeds and all output appears at once, or
there is none. A server that is lost meanwhile, because it is started again or the network
is cut, is waited for: --server-wait.

A CMD that is a program with plain or quoted words, or some with pipes in between, is run
without bash, which is sooner done and else the same. --shell always runs all with bash.

With --keep-going what succeeded appears, and every task that failed is told of;
with --resume the same line again runs only what is missing. Map and map-from-n then
also do without a server that does not come back in time: the output of the others
appears, and all tasks of that one are told of. A map-to-n, and a job with --server-wait
0, fail.

With --on-failure keep, a job that fails, is interrupted or loses its client is
suspended: what the tasks that ended have made stays on the disk of each server, also
of one that is down, and s4 jobs resume goes on when all servers are there. If one has
lost its disk, the job can only be discarded. A job that --keep-going has published
without some tasks is not kept: --resume completes it.

--script takes CMD from a file: one whose first line is #! and another program than a
shell goes along with the job and is run by that program.

With --secret-env, tasks have a variable of this command's environment. It crosses the
network sealed with the cluster's secret, and servers keep it in memory only: no file,
log, or s4 jobs show has it. One that is started again meanwhile gets it again from this
command, or of a job with --detach from the server that drives it; if that is gone, too,
the job fails, or is suspended, and s4 jobs resume --secret-env goes on.

A task whose input differs from its checksum has failed. For that the server reads
all of the input; --no-verify-input leaves it out.`

var (
	mapHelp = mapHelpText{
		verb:  s4.VerbMap,
		short: "run a command for every key, 1:1",
		long: `For every key below INDIR run CMD with the key as standard input; its standard
output becomes the key with the same relative path below OUTDIR.

With --batch N, one CMD does up to N keys: they are its arguments, its standard input
has their paths, one a line, and $S4_BATCH is a file with a line for each: key, path,
and the path to write its output to, with tabs between.

With --manifest FILE there is no INDIR: each line of FILE is a task, which reads no key.
A line is the task's name, which says where its output is below OUTDIR and which server
runs it, a tab, and its record, which CMD has as standard input. Names differ, and empty
lines are left out. With --batch, the paths are those of files with the records.

If OUTDIR is -, CMD's standard output is dropped and no key is written: for commands that
send elsewhere what they read.` + mapCommon,
		example: `  s4 map s4://bucket/in/ s4://bucket/out/ 'tr A-Z a-z'
  s4 map -k --retries 2 --joblog log.tsv s4://bucket/in/ s4://bucket/out/ 'parse | sort' --file parse
  s4 map --resume s4://bucket/in/ s4://bucket/out/ --script parse.sh
  s4 map --manifest urls.tsv --retries 3 s4://bucket/pages/ 'read url; curl -fsS "$url"'
  s4 map --secret-env TOKEN s4://bucket/out/ - 'upload --token-from-env TOKEN "$filename"'`,
		run: (*s4.Client).Map,
	}
	mapToNHelp = mapHelpText{
		verb:  s4.VerbMapToN,
		short: "run a command for every key, 1:n: the shuffle",
		long: `For every key below INDIR run CMD with the key as standard input. CMD writes
files into its working directory and prints their names, one a line, where an
empty line is none; each becomes the key OUTDIR/<the key's relative path>/<the
file's basename>, on the server that basename belongs to.` + mapCommon,
		example: `  s4 map-to-n s4://bucket/in/ s4://bucket/parts/ 'awk "{print > \$1 % 12}"; ls'
  s4 map-to-n --compress never s4://bucket/in/ s4://bucket/parts/ 's4 partition -n 64'`,
		run: (*s4.Client).MapToN,
	}
	mapFromNHelp = mapHelpText{
		verb:  s4.VerbMapFromN,
		short: "run a command for every group of keys, n:1: the merge",
		long: `Group the keys below INDIR by numeric prefix, or by basename where there is
none. For every group run CMD with the paths of the group's files on standard
input, one a line, sorted; its standard output becomes OUTDIR/<prefix>, with
the suffix that all keys of the group share.

xargs -d '\n' awk 1 reads all of a group: without -d, xargs takes quotes and
backslashes in a name for its own syntax, and cat in place of awk 1 glues the last
line of a file to the first of the next where a last newline is missing.` + mapCommon,
		example: `  s4 map-from-n s4://bucket/parts/ s4://bucket/sums/ 'xargs -d "\n" awk 1 | sort | uniq -c'`,
		run:     (*s4.Client).MapFromN,
	}
)

func (a *app) mapVerb(h mapHelpText) *cobra.Command {
	var f mapFlags
	cmd := &cobra.Command{
		Use:     string(h.verb) + " INDIR... OUTDIR CMD",
		Short:   h.short,
		Long:    h.long,
		Example: h.example,
		Args:    f.check,
		RunE: a.run(func(ctx context.Context, c *s4.Client, args []string) error {
			a.subject = args[0]
			j, err := f.job(ctx, a, h, args)
			switch {
			case err != nil:
				return err
			case f.explain:
				err = a.explain(ctx, c, j)
			case f.detach:
				err = a.detach(ctx, c, j, &f)
			default:
				err = a.runMap(ctx, c, j, &f)
			}
			a.adviseOnGlob(j.indir, err)
			return err
		}),
	}
	f.register(cmd.Flags(), h.verb)
	// It fails only if there is no such flag.
	_ = cmd.RegisterFlagCompletionFunc("on-failure", cobra.FixedCompletions([]string{"discard", keepOnFailure}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// mapJob is a job as the command line gives it.
type mapJob struct {
	mapHelpText
	indir, outdir, cmd string
	opts               s4.JobOptions
	resume             string // the job to go on with, in place of the above
	as                 string // the verb that the user gave, if it is not that of the job
}

// name returns the verb that the user gave.
func (j *mapJob) name() string { return cmp.Or(j.as, string(j.verb)) }

func (j *mapJob) start(ctx context.Context, c *s4.Client) (s4.JobResult, error) {
	if j.resume != "" {
		return c.ResumeJob(ctx, j.resume, &j.opts)
	}
	return j.run(c, ctx, j.indir, j.outdir, j.cmd, &j.opts)
}

// runMap runs a job and shows its progress.
func (a *app) runMap(ctx context.Context, c *s4.Client, j *mapJob, f *mapFlags) error {
	verb := j.name()
	log, err := createJoblog(f.joblog)
	if err != nil {
		return err
	}
	shown := a.watch(verb, c.Cluster().Servers)
	defer shown.stop()
	j.opts.Progress = func(p s4.JobProgress) {
		a.lost = a.lost || !p.LostSince.IsZero() || p.Without > 0
		shown.update(p)
	}
	j.opts.Started = func(id string) {
		log.start()
		a.startedJob(id, f)
		if a.json {
			_ = a.line("", map[string]any{"job": id, "state": s4.JobRunning}) // an error comes again with the last line
		}
	}
	j.opts.AllTasks = log != nil
	j.opts.Task = func(t s4.JobTask) {
		log.add(t)
		if f.keepGoing && t.State == s4.TaskFailed {
			shown.aside(func() { a.report(verb, t.Err) })
		}
	}
	start := time.Now()
	res, err := j.start(ctx, c)
	took := time.Since(start)
	shown.stop()
	if err != nil {
		a.adviseOnResult(ctx, c, res, j.opts.Keep || isPartly(err, res), took)
	}
	if err == nil || f.keepGoing && isPartly(err, res) {
		if serr := a.jobSummary(res, took); err == nil {
			err = serr
		}
		if j.verb == s4.VerbMapToN && res.Keys == 0 && res.Tasks > res.Failed {
			a.note("no task has printed the name of a file: CMD is to print those of the files it has written, as with '; ls' at its end")
		}
	}
	return a.closeJoblog(log, verb, err)
}

// isPartly reports whether a job that kept going was published without the tasks that
// failed, as opposed to a job that failed itself.
func isPartly(err error, res s4.JobResult) bool {
	var e *s4.Error
	return errors.As(err, &e) && e.Kind == s4.ErrTaskFailed && e.Server == "" && res.Failed > 0
}

// detach starts a job and prints its id.
func (a *app) detach(ctx context.Context, c *s4.Client, j *mapJob, f *mapFlags) error {
	j.opts.Detach = true
	j.opts.Started = func(id string) { a.startedJob(id, f) }
	res, err := j.start(ctx, c)
	if err != nil {
		return err
	}
	return a.line(res.ID, map[string]any{"job": res.ID})
}

// startedJob prints the id with --verbose.
func (a *app) startedJob(id string, f *mapFlags) {
	if f.verbose && !a.json {
		fmt.Fprintln(a.stderr, "job "+id)
	}
}

// jobSummary prints the last line of a job that has published its output. The
// error is of stdout.
func (a *app) jobSummary(res s4.JobResult, took time.Duration) error {
	if a.json {
		return a.line("", map[string]any{"job": res.ID, "tasks": res.Tasks, "failed": res.Failed, "skipped": res.Skipped,
			"keys": res.Keys, "bytes": res.Bytes, "bytes_in": res.BytesIn, "bytes_pushed": res.Pushed, "seconds": took.Seconds()})
	}
	a.note("%s", summaryText(res, took))
	return nil
}

// summaryText says what a job did.
func summaryText(res s4.JobResult, took time.Duration) string {
	var p parts
	p.add(true, "%s", count(res.Tasks, "task"))
	p.add(res.Failed > 0, "%d failed", res.Failed)
	p.add(res.Skipped > 0, "%d skipped", res.Skipped)
	p.add(true, "%s in", flags.FormatSize(res.BytesIn))
	p.add(true, "%s out in %s", flags.FormatSize(res.Bytes), count(res.Keys, "key"))
	p.add(res.Pushed > 0, "%s shuffled", flags.FormatSize(res.Pushed))
	p.add(true, "%.1fs", took.Seconds())
	return p.String()
}

// parts is a text whose parts are joined with commas.
type parts []string

// add adds a part if there is true.
func (p *parts) add(there bool, format string, args ...any) {
	if there {
		*p = append(*p, fmt.Sprintf(format, args...))
	}
}

func (p parts) String() string { return strings.Join(p, ", ") }
