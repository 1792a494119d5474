package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

// replayFlags are the flags of s4 jobs replay, as given.
type replayFlags struct {
	onServer bool
	shell    bool
	keepDir  bool
	script   string
	files    []string
}

func (a *app) jobsReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay ID KEY",
		Short: "run the command of one task again, here or on its server",
		Long: `Fetch the input of one task of a job and run the job's command on it here, with the
environment and the options of bash that it had there, in a directory that is removed
afterwards. Nothing is published. KEY names the task as s4 jobs show does: its input, of
map-from-n its output. The exit code is the command's.

What a map or merge prints is printed; of a map-to-n, the size and name of each file that
it names. With --keep-dir the directory stays, with what the command has left in it.

--shell opens a shell there in place of the command: its script is the file $S4_COMMAND,
and $S4_INPUT the file that would be its standard input.

--on-server runs the command, or with --shell a shell, on the server of the task, in an
empty directory and with the task's environment.

Files that went along with the job are gone when it is over: give them again, with --file
or --script. Of a job that runs or is suspended, they are there with --on-server.`,
		Example: `  s4 jobs replay 4f2a s4://bucket/in/000
  s4 jobs replay --shell --file parse 4f2a s4://bucket/in/000
  s4 jobs replay --on-server 4f2a s4://bucket/in/000`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.onServer && (len(f.files) > 0 || f.script != ""):
				return usagef("--file and --script are for a run here: leave out --on-server")
			case f.onServer && f.keepDir:
				return usagef("--keep-dir is for a run here: leave out --on-server")
			}
			return wantArgs(2, 2)(cmd, args)
		},
		ValidArgsFunction: a.replayArguments,
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.onServer, "on-server", false, "run it on the server of the task")
	fl.BoolVar(&f.shell, "shell", false, "open a shell with the input in place, and run nothing")
	fl.BoolVar(&f.keepDir, "keep-dir", false, "keep the directory it runs in")
	fl.StringArrayVar(&f.files, "file", nil, "put the file `PATH` into $S4_ASSETS, and on PATH (repeatable)")
	fl.StringVar(&f.script, "script", "", "take the command from `FILE`, in place of the job's")
	cmd.RunE = a.run(func(ctx context.Context, c *s4.Client, args []string) error {
		id, err := a.jobID(ctx, c, args[0], 0)
		var job s4.JobStatus
		if err == nil {
			job, err = c.Job(ctx, id)
		}
		if job.ID == "" {
			var e *s4.Error
			if errors.As(err, &e) && e.Kind == s4.ErrNoJob {
				e.Key = args[0] // as the user wrote it
			}
			return err
		}
		a.subject = args[1]
		if !f.onServer {
			return a.replayHere(ctx, c, job, args[1], &f)
		}
		if live := !job.State.Over() || job.State == s4.JobSuspended; !live && wantsFiles(job.Command) {
			a.note("the files that went along with the job are gone: $S4_ASSETS is empty")
		}
		opts := &s4.ShellOptions{Job: id, Run: !f.shell}
		if f.shell {
			return a.openShell(ctx, c, args[1], opts)
		}
		return unlessStuck(ctx, func() error {
			status, err := c.Shell(ctx, args[1], strings.NewReader(""), a.stdout, a.stderr, opts)
			if err == nil {
				a.setExit(status)
			}
			return err
		})
	})
	return cmd
}

// wantsFiles reports whether a command names files that went along with its job.
func wantsFiles(command string) bool { return strings.Contains(command, "S4_ASSETS") }

// replayArguments completes the ID of a job, and then the keys of its tasks: first of
// those that failed.
func (a *app) replayArguments(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.jobIDs(cmd.Context(), word)
	case 1:
		return a.taskKeys(cmd.Context(), args[0])
	}
	return nothing(cmd.Context(), word)
}

// replayHere fetches the input of a task and runs its command, or a shell.
func (a *app) replayHere(ctx context.Context, c *s4.Client, job s4.JobStatus, key string, f *replayFlags) (err error) {
	r := &replay{client: c, job: job, command: job.Command, secretFile: a.secretFile}
	if f.script != "" {
		command, asset, err := readScript(f.script)
		if err != nil {
			return err
		}
		if r.command = command; asset {
			r.files = append(r.files, s4.JobFile{Path: f.script, Exec: true})
		}
	}
	for _, path := range f.files {
		r.files = append(r.files, s4.JobFile{Path: path})
	}
	if r.in, err = c.JobTaskInput(ctx, job, key); err != nil {
		return err
	}
	if err := r.makeDir(); err != nil {
		return err
	}
	defer func() {
		if f.keepDir {
			a.note("kept %s", r.dir)
		} else if rerr := r.remove(); err == nil {
			err = rerr
		}
	}()
	if err := r.fetch(ctx); err != nil {
		return err
	}
	if wantsFiles(r.command) && len(r.files) == 0 {
		a.note("the files that went along with the job are not here: give them again with --file or --script")
	}
	if f.shell {
		return a.replayShell(ctx, r)
	}
	res, err := r.run(ctx, a.stdout, a.stderr)
	if err != nil {
		return err
	}
	a.setExit(s4.ExitStatus{Code: res.ExitCode, Signal: int(res.Signal)})
	if a.exit == exitNotFound && len(r.files) == 0 {
		a.note("if the program went along with the job, give it again with --file")
	}
	if a.exit != exitOK {
		return nil
	}
	return a.showReplayed(r)
}

// exitNotFound is the exit code of bash for a program that it does not find.
const exitNotFound = 127

// showReplayed prints what a command has made that succeeded, as far as it was not printed
// as it came.
func (a *app) showReplayed(r *replay) error {
	if f, err := r.output(); f != nil || err != nil {
		if err == nil {
			_, err = io.Copy(a.stdout, f)
			f.Close()
		}
		return err
	}
	if s4.Verb(r.job.Verb) != s4.VerbMapToN {
		return nil
	}
	files, err := r.named()
	for _, f := range files {
		if err := a.line(fmt.Sprintf("%12d %s", f.Bytes, f.Name), f); err != nil {
			return err
		}
	}
	return err
}
