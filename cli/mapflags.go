package cli

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

// keepOnFailure is the value of --on-failure that suspends a job that fails.
const keepOnFailure = "keep"

var errRetries = errors.New("--retries N is from 0 to 2147483647")

// mapFlags are the flags of the map verbs, as given.
type mapFlags struct {
	resume, keepGoing        bool
	noVerify                 bool
	shell                    shellFlag
	retries                  int
	batch                    batchFlag
	timeout                  timeoutFlag
	serverWait               timeoutFlag
	onFailure                string
	okExit                   exitCodes
	joblog, script           string
	hasScript                bool // --script was given
	compress                 compressFlag
	explain, detach, verbose bool
	files                    []string
	manifest                 string // a file, - for stdin
	secrets                  secretFlags
	choose                   chooser
}

// registerJob defines the flags of every verb that runs a job.
func (f *mapFlags) registerJob(fl *pflag.FlagSet, retries int) {
	fl.BoolVarP(&f.keepGoing, "keep-going", "k", false, "publish what succeeds, whatever fails")
	fl.IntVar(&f.retries, "retries", retries, "run a task that fails again, up to `N` times")
	fl.Var(&f.timeout, "timeout", "fail a task that runs longer than `D`, as in 90s, 5m or 30 (seconds)")
	f.serverWait = timeoutFlag(s4.DefaultServerWait)
	fl.Var(&f.serverWait, "server-wait", "wait `D` for a server that is lost meanwhile, 0 to fail at once")
	fl.StringVar(&f.onFailure, "on-failure", "", "`WHAT` becomes of a job that fails: keep, see s4 jobs resume, or discard (default $S4_ON_FAILURE, else discard)")
	fl.StringVar(&f.joblog, "joblog", "", "write a line per task to `FILE`, tab-separated")
	fl.BoolVar(&f.explain, "explain", false, "print what would run where, and run nothing")
	fl.BoolVar(&f.detach, "detach", false, "print the job's id and leave it to the servers, see s4 jobs")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "print the job's id when it starts")
}

// register defines the flags of a map verb.
func (f *mapFlags) register(fl *pflag.FlagSet, verb s4.Verb) {
	f.registerJob(fl, 0)
	fl.BoolVar(&f.resume, "resume", false, "run only the tasks whose output does not exist")
	fl.Var(&f.okExit, "ok-exit", "exit `codes` that are no failure, as in 0,1 (repeatable)")
	registerNoVerify(fl, &f.noVerify)
	if verb == s4.VerbMap {
		fl.Var(&f.batch, "batch", "let one command do up to `N` keys, whose paths it is given, see $S4_BATCH")
		fl.StringVar(&f.manifest, "manifest", "", "run a task for each line of `FILE`, or - for standard input, in place of INDIR")
	}
	f.choose.registerFilter(fl)
	f.choose.registerGlob(fl)
	f.choose.registerFrom(fl, "the keys below INDIR that are meant")
	f.secrets.register(fl)
	f.shell.register(fl)
	fl.StringArrayVar(&f.files, "file", nil, "send the file `PATH` along, to $S4_ASSETS and PATH (repeatable)")
	fl.StringVar(&f.script, "script", "", "take the command from `FILE`, in place of CMD")
	if verb == s4.VerbMapToN {
		f.compress.register(fl, "what servers send each other")
	}
}

// registerNoVerify defines the flag that map verbs and eval share.
func registerNoVerify(fl *pflag.FlagSet, to *bool) {
	fl.BoolVar(to, "no-verify-input", false, "do not compare input with its checksums")
}

// check checks arguments and flags. Its errors are errors in usage.
func (f *mapFlags) check(cmd *cobra.Command, args []string) error {
	script := cmd.Flags().Changed("script")
	f.hasScript = script
	want := f.wants(script)
	dirs := args // without CMD
	if !script && len(args) > 0 {
		dirs = args[:len(args)-1]
	}
	switch n := len(args); {
	case f.manifest != "" && (f.choose.filtered || f.choose.from != "" || f.choose.noGlob):
		return errors.New("--manifest FILE has all tasks: leave it or --include, --exclude, --from-file and --no-glob off")
	case n == len(want):
	case f.manifest == "" && n > len(want) && areDirs(dirs):
		if f.choose.from != "" {
			return errors.New("--from-file FILE lists keys below one INDIR: give one")
		}
	case script && n == len(want)+1:
		return errors.New("--script FILE takes the place of CMD: give one of them")
	case f.manifest != "" && n == len(want)+1:
		return errors.New("--manifest FILE takes the place of INDIR: give one of them")
	default:
		text := strings.Join(want, " ")
		if f.manifest != "" {
			text += " with --manifest"
		}
		if script {
			text += " with --script"
		}
		return wrongArgs(text, args)
	}
	return f.checkJob()
}

// checkJob checks the flags of registerJob.
func (f *mapFlags) checkJob() error {
	if f.onFailure == "" {
		f.onFailure = os.Getenv("S4_ON_FAILURE")
	}
	switch {
	case f.onFailure != "" && f.onFailure != keepOnFailure && f.onFailure != "discard":
		return errors.New("--on-failure (or $S4_ON_FAILURE) is discard or keep")
	case f.retries < 0 || f.retries > math.MaxInt32:
		return errRetries
	case f.detach && !f.explain && f.joblog != "":
		return errors.New("--joblog needs this command to stay: leave it or --detach off, and see 's4 jobs show ID' for the tasks of a detached job")
	}
	return nil
}

// areDirs reports whether all of args can be INDIRs and an OUTDIR. One that cannot is a
// word of a command that lacks its quotes.
func areDirs(args []string) bool {
	for i, arg := range args {
		if !strings.HasPrefix(arg, s4.Scheme) && (i < len(args)-1 || arg != "-") {
			return false
		}
	}
	return true
}

// wants returns the names of the arguments. script says that a file has CMD.
func (f *mapFlags) wants(script bool) []string {
	want := []string{"INDIR...", "OUTDIR", "CMD"}
	if script {
		want = want[:2]
	}
	if f.manifest != "" {
		want = want[1:]
	}
	return want
}

// job returns the job that flags and arguments describe.
func (f *mapFlags) job(ctx context.Context, a *app, h mapHelpText, args []string) (*mapJob, error) {
	j := &mapJob{mapHelpText: h}
	dirs := len(args) - 1 // those before CMD
	if f.hasScript {
		dirs++
	}
	var more []string
	if f.manifest == "" {
		j.indir, more = args[0], args[1:dirs-1]
	}
	for _, dir := range args[:dirs-1] {
		if err := f.checkDir(dir); err != nil {
			return nil, err
		}
	}
	if j.outdir, args = args[dirs-1], args[dirs:]; j.outdir == "-" && h.verb == s4.VerbMap {
		j.outdir = ""
	}
	j.opts = s4.JobOptions{
		KeepGoing:     f.keepGoing,
		Resume:        f.resume,
		Retries:       f.retries,
		Timeout:       time.Duration(f.timeout),
		ServerWait:    time.Duration(f.serverWait),
		Keep:          f.onFailure == keepOnFailure,
		OKExit:        f.okExit,
		Compress:      s4.Compression(f.compress),
		NoVerifyInput: f.noVerify,
		Batch:         int(f.batch),
		Bash:          bool(f.shell),
		MoreIndirs:    more,
		NoGlob:        f.choose.noGlob,
	}
	if f.choose.filtered {
		j.opts.Filter = &f.choose.filter
	}
	if err := f.readKeys(ctx, a, &j.opts); err != nil {
		return nil, err
	}
	for _, path := range f.files {
		j.opts.Files = append(j.opts.Files, s4.JobFile{Path: path})
	}
	if err := f.secrets.set(&j.opts); err != nil {
		return nil, err
	}
	if f.manifest != "" {
		tasks, err := a.readManifest(ctx, f.manifest)
		if err != nil {
			return nil, err
		}
		j.opts.Manifest = tasks
	}
	if len(args) == 1 {
		j.cmd = args[0]
		return j, nil
	}
	cmd, asset, err := readScript(f.script)
	if err != nil {
		return nil, err
	}
	j.cmd = cmd
	if asset {
		j.opts.Files = append(j.opts.Files, s4.JobFile{Path: f.script, Exec: true})
	}
	return j, nil
}

// checkDir returns an error in usage for a pattern that would not mean what it seems to.
func (f *mapFlags) checkDir(dir string) error {
	if strings.Contains(dir, "[!") && !f.choose.noGlob { // of path.Match a set with "!" in it, so the opposite
		return usagef("%s: write [^ in place of [!", dir)
	}
	return nil
}

// readKeys reads the keys of --from-file.
func (f *mapFlags) readKeys(ctx context.Context, a *app, o *s4.JobOptions) error {
	list, err := f.choose.names(ctx, a, nil)
	if err != nil || f.choose.from == "" {
		return err
	}
	o.Keys = []string{} // not nil, which are all
	for name, err := range list {
		if err != nil {
			return err
		}
		o.Keys = append(o.Keys, name)
	}
	return nil
}

// batchFlag is a number of keys.
type batchFlag int

func (n *batchFlag) String() string { return strconv.Itoa(int(*n)) }

// Type is what pflag calls it.
func (n *batchFlag) Type() string { return "N" }

// Set is given what the user wrote.
func (n *batchFlag) Set(text string) error {
	v, err := strconv.ParseUint(text, 10, 31)
	if err != nil || v == 0 {
		return errors.New("want a number of keys from 1 on")
	}
	*n = batchFlag(v)
	return nil
}

// timeoutFlag is a flag that takes a duration, or a number of seconds.
type timeoutFlag time.Duration

func (d *timeoutFlag) String() string { return time.Duration(*d).String() }

// Type is what pflag calls it.
func (d *timeoutFlag) Type() string { return "D" }

var errNoTimeout = errors.New("want a time such as 90s, 5m, 1h30m, 2d, or a number of seconds")

// Set is given what the user wrote.
func (d *timeoutFlag) Set(text string) error {
	var v flags.Period
	if v.Set(text) != nil && v.Set(text+"s") != nil {
		return errNoTimeout
	}
	*d = timeoutFlag(v)
	return nil
}

// exitCodes is a repeatable flag that takes exit codes, separated by commas. It does
// not store 0, which is never a failure.
type exitCodes []int

func (c *exitCodes) String() string {
	var text []string
	for _, code := range *c {
		text = append(text, strconv.Itoa(code))
	}
	return strings.Join(text, ",")
}

// Type is what pflag calls it.
func (c *exitCodes) Type() string { return "codes" }

// Set is given what the user wrote.
func (c *exitCodes) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		code, err := strconv.ParseUint(word, 10, 8)
		if err != nil {
			return errors.New("want exit codes from 0 to 255 with commas between, such as 0,1")
		}
		if code != 0 && !slices.Contains(*c, int(code)) {
			*c = append(*c, int(code))
		}
	}
	return nil
}
