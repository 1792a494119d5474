package cli

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/flags"
)

const (
	completeTime = 300 * time.Millisecond // more is felt as a key that hangs
	completeMax  = 10_000                 // candidates; a list that is cut would mislead the shell
)

// completer returns the candidates for a word that begins with word, each with its
// description behind a tab, or none. What goes wrong is not told: the shell would print
// it into the command line.
type completer func(ctx context.Context, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// isCompletion reports whether a shell asks for candidates.
func isCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// complete sets what all verbs below cmd complete. An argument's name in the usage line
// says what it is, and so does a flag's.
func (a *app) complete(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		a.complete(c)
	}
	if cmd.HasParent() && cmd.ValidArgs == nil && cmd.ValidArgsFunction == nil {
		names := argumentNames(cmd.Use)
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.argument(names, len(args))(cmd.Context(), word)
		}
	}
	flags.Complete(cmd, flagWords())
}

// argumentNames returns the names of the arguments in a usage line, without brackets
// and without flags and what follows them.
func argumentNames(use string) (names []string) {
	words := strings.Fields(use)
	for i := 1; i < len(words); i++ {
		switch word := strings.TrimPrefix(words[i], "["); {
		case strings.HasPrefix(word, "-"):
			if !strings.HasSuffix(word, "]") {
				i++ // the flag's value
			}
		case word != "|":
			names = append(names, strings.TrimSuffix(word, "]"))
		}
	}
	return names
}

// argument returns the completer for argument i of a verb whose arguments have these
// names.
func (a *app) argument(names []string, i int) completer {
	repeated := slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, "...") })
	if i >= len(names) && !repeated {
		return nothing
	}
	name := names[min(i, len(names)-1)]
	if repeated && name == "CMD" { // or another of the repeated ones
		return func(ctx context.Context, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if !strings.HasPrefix(word, s4.Scheme) {
				return nothing(ctx, word)
			}
			return a.directories(ctx, word)
		}
	}
	switch strings.TrimSuffix(name, "...") {
	case "KEY", "PREFIX":
		return a.keys
	case "S3URL":
		return nothing // to list a bucket takes longer than one waits for a Tab
	case "INDIR", "OUTDIR", "DIR":
		return a.directories
	case "SRC", "DST":
		return a.keysAndFiles
	case "FILE":
		return files
	case "ID":
		return a.jobIDs
	}
	return nothing
}

// flagWords returns the words that flags take for a value.
func flagWords() map[string][]string {
	return map[string][]string{
		"by":         {"hash", "range", "round-robin"},
		"color":      {"auto", "always", "never"},
		"compress":   {"auto", "always", "never"},
		"header":     {"drop", "keep"}, // of partition; that of cp takes no value
		"missing":    {"error", "empty"},
		"on-failure": {"discard", "keep"},
		"progress":   {"auto", "always", "never"},
		"shell":      {"auto", "always"},
		"sort":       {"name", "size", "time"},
	}
}

func nothing(context.Context, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// files leaves it to the shell.
func files(context.Context, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// keys completes the next segment of a key, and directories.
func (a *app) keys(ctx context.Context, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.segments(ctx, word, false)
}

// directories completes the next directory.
func (a *app) directories(ctx context.Context, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.segments(ctx, word, true)
}

// keysAndFiles completes what may be either.
func (a *app) keysAndFiles(ctx context.Context, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.HasPrefix(word, s4.Scheme) {
		return a.keys(ctx, word)
	}
	if word == "" || !strings.HasPrefix(s4.Scheme, word) {
		return files(ctx, word)
	}
	// The shell would add files only if there were no candidates.
	list, _ := filepath.Glob(word + "*") // no pattern in it that could be bad
	return append(list, s4.Scheme), cobra.ShellCompDirectiveNoSpace
}

// segments lists a bucket or directory.
func (a *app) segments(ctx context.Context, word string, dirsOnly bool) ([]cobra.Completion, cobra.ShellCompDirective) {
	prefix, ok := strings.CutPrefix(word, s4.Scheme)
	if !ok {
		if !strings.HasPrefix(s4.Scheme, word) {
			return nothing(ctx, word)
		}
		prefix = ""
	}
	inBucket := strings.Contains(prefix, "/")
	list := a.ask(ctx, func(ctx context.Context, c *s4.Client) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			entries := c.Buckets(ctx)
			if inBucket {
				entries = c.List(ctx, s4.Scheme+prefix, false)
			}
			for e, err := range entries {
				switch {
				case err == nil && !strings.HasPrefix(e.Name, prefix), err == nil && inBucket && dirsOnly && !e.Dir:
					continue
				case !inBucket:
					e.Name = strings.TrimSuffix(e.Name, "/") + "/"
				}
				if !yield(s4.Scheme+e.Name, err) {
					return
				}
			}
		}
	})
	for _, name := range list {
		if strings.HasSuffix(name, "/") {
			return list, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// jobIDs completes the id of a job.
func (a *app) jobIDs(ctx context.Context, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.ask(ctx, func(ctx context.Context, c *s4.Client) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			jobs, _ := c.Jobs(ctx) // those of the servers that answer
			for _, j := range jobs {
				if !yield(fmt.Sprintf("%s\t%s %s %s", j.ID, j.State, j.Verb, indirText(j)), nil) {
					return
				}
			}
		}
	}), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// taskKeys completes the key of a task of a job, of which those that failed come first.
func (a *app) taskKeys(ctx context.Context, id string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.ask(ctx, func(ctx context.Context, c *s4.Client) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			id, err := a.jobID(ctx, c, id, 0)
			if err != nil {
				return
			}
			var keys []string
			last := make(map[string]s4.TaskState)              // a task may have several runs
			_ = c.JobTasks(ctx, id, func(t s4.JobTask) error { // of the servers that answer
				if last[t.Key] == "" {
					keys = append(keys, t.Key)
				}
				last[t.Key] = t.State
				return nil
			})
			for _, failed := range []bool{true, false} {
				for _, key := range keys {
					if (last[key] == s4.TaskFailed) == failed && !yield(key+"\t"+string(last[key]), nil) {
						return
					}
				}
			}
		}
	}), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// ask returns what f finds on the cluster, nothing if that fails, is not found in time
// or is too much.
func (a *app) ask(ctx context.Context, f func(context.Context, *s4.Client) iter.Seq2[string, error]) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	c, err := a.client()
	if err != nil {
		return nil
	}
	defer c.Close()
	var list []cobra.Completion
	for name, err := range f(ctx, c) {
		if err != nil || len(list) == completeMax {
			return nil
		}
		list = append(list, name)
	}
	return list
}
