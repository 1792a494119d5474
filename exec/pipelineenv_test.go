package exec

import (
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Nothing tells the ways apart of a command that is stopped.
func TestBothWaysTimeout(t *testing.T) {
	for _, script := range []string{"sleep 1000", "sleep 1000 | cat", "cat | sleep 1000", "sh -c 'exit 3' | sleep 1000 | cat"} {
		c := Cmd{Script: script, Timeout: 300 * time.Millisecond}
		if !sameBothWays(t, c, "") {
			t.Errorf("%q needs bash", script)
		}
	}
}

// The PATH is that of bash: where it has what needs bash to say so, or depends on the
// directory, bash looks.
func TestBothWaysPath(t *testing.T) {
	dir, path := programs(t), os.Getenv("PATH")
	for _, test := range []struct {
		path, script string
		want         bool
	}{
		{dir + ":" + path, "script | cat", true},
		{dir + "/:" + path, "link | cat", true},
		{dir + "//:" + path, "script", true},
		{dir + "/.:" + path, "printenv PATH", true},
		{dir + ":" + path, "tr a-z A-Z", false}, // there is a tr that may not be run
		{dir + ":" + path, "sort", false},       // and a directory sort
		{dir + ":" + path, "echo", false},       // a builtin
		{dir + ":" + path, "directory", false},
		{dir + ":" + path, "nobang", false},
		{dir + ":" + path, "noexec", false},
		{dir + ":" + path, "cat | tr a-z A-Z", false}, // when it is not the first, it would be told otherwise
		{dir + ":" + path, "cat | sort", false},
		{"/no/such/directory:" + path, "cat", true},
		{"." + ":" + path, "cat", false},
		{":" + path, "cat", false},
		{path + ":", "cat", true},
		{path + ":", "no-such-program", false},
		{path + ":.", "cat", true},
		{"~:" + path, "cat", false},
		{"../in:" + path, "cat", false},
		{"", "cat", false},
		{"/proc/self/cwd:" + path, "cat", true},
	} {
		e := []string{"PATH=" + test.path, "LC_ALL=C"}
		if got := sameBothWays(t, Cmd{Script: test.script, Env: e}, "a\n"); got != test.want {
			t.Errorf("PATH=%q %s: without bash: %v", test.path, test.script, got)
		}
	}
}

// What bash makes of the environment is what the programs of a pipeline see.
func TestBothWaysEnv(t *testing.T) {
	path := "PATH=" + os.Getenv("PATH")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env  string // beside PATH and LC_ALL, with blanks between
		want bool
	}{
		{"", true},
		{"A=1 A=2 B= C==", true},
		{"A-B=1 a.b=2 1a=3 ü=4", true},
		{"SHLVL=0", true}, {"SHLVL=5", true}, {"SHLVL=899", true}, {"SHLVL=998", false}, {"SHLVL=1000", false}, {"SHLVL=-1", false},
		{"SHLVL=", false}, {"SHLVL=x", false}, {"SHLVL=05", false}, {"SHLVL=+5", false}, {"SHLVL=99999999999999999999", false},
		{"PWD=/", true}, {"PWD=/no/such", true}, {"PWD=", true}, {"PWD=.", true}, {"PWD=x", true},
		{"OLDPWD=/", true}, {"OLDPWD=/no/such", true}, {"OLDPWD=/etc/passwd", true}, {"OLDPWD=", false}, {"OLDPWD=.", false}, {"OLDPWD=" + link, true},
		{"_=/x", true}, {"_=", true},
		{"HOME=/x SHELL=/x TERM=x USER=x LOGNAME=x HOSTNAME=x LANG=de_DE.UTF-8 LC_CTYPE=x", true},
		{"BASH_ENV=/dev/null", false}, {"BASH_FUNC_cat%%=()\x20{\x20echo\x20function;\x20}", false}, {"BASH_FUNC_x%%=()\x20{\x20:;\x20}", false},
		{"BASHOPTS=extglob", false}, {"SHELLOPTS=noglob", false}, {"POSIXLY_CORRECT=1", false}, {"BASH=x", false},
		{"IFS=a", false}, {"UID=7 EUID=7", true}, {"PPID=7", false}, {"RANDOM=7", false}, {"ENV=/dev/null", true},
		{"LC_ALL=", false}, {"LC_ALL=POSIX", false}, {"LC_ALL=no_such", false}, {"LC_ALL=C.UTF-8", false},
		{"X", false}, {"=x", false},
	} {
		e := append([]string{path, "LC_ALL=C"}, strings.Split(test.env, " ")...)
		if test.env == "" {
			e = e[:2]
		}
		if strings.Contains(test.env, "%%") {
			e = append(e[:2:2], test.env)
		}
		for _, script := range []string{"env -0", "env -0 | sort -z"} {
			c := Cmd{Script: script, Env: e}
			var got, want outcome
			want, _ = outcomeOf(t, c, "")
			c.Pipeline = NewPipeline(script, e)
			got, direct := outcomeOf(t, c, "")
			got.out, want.out = sorted(got.out, "\x00"), sorted(want.out, "\x00") // programs do not depend on the order
			if got != want || direct != test.want {
				t.Errorf("%s %s: without bash: %v, want %v\n%+v\nwith\n%+v", test.env, script, direct, test.want, got, want)
			}
		}
	}
}

// Bash tells its programs the directory without symbolic links, unless PWD is the same
// directory, too.
func TestBothWaysLinkedDir(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pwd, want string
		direct    bool
	}{{"", real, true}, {"PWD=" + dir, real, true}, {"PWD=" + real, real, true}, {"PWD=" + link, link, false}} {
		c := Cmd{Script: "printenv PWD", Dir: link, Env: append([]string{test.pwd}, env...)}
		if test.pwd == "" {
			c.Env = env
		}
		for i, pipeline := range []*Pipeline{nil, NewPipeline(c.Script, c.Env), nil, NewPipeline(c.Script, c.Env)} {
			if c.Pipeline = pipeline; i == 2 {
				c.Dir, c.DirIsReal = real, true
			}
			out := tempFile(t)
			c.Stdout = out
			res, err := Run(t.Context(), c)
			if got := contents(t, out); err != nil || got != test.want+"\n" || res.Direct != (test.direct && c.Pipeline != nil) {
				t.Errorf("%s: %q, without bash %v, %v", test.pwd, got, res.Direct, err)
			}
		}
	}
}

// sorted sorts what sep divides.
func sorted(list, sep string) string {
	words := strings.Split(list, sep)
	slices.Sort(words)
	return strings.Join(words, sep)
}

// Each variable that bash knows is one that it leaves as it is, or one that bashVars has.
func TestBashVars(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some hundreds of processes")
	}
	names := strings.Fields(bashSays(t, "compgen -v") + " " + strings.Join(bashVars, " ") + knownVars)
	for _, name := range names {
		for _, value := range []string{"7", "/usr", "a:b"} {
			e := append(slices.Clone(env), name+"="+value)
			want, _ := outcomeOf(t, Cmd{Script: "env -0", Env: e}, "")
			c := Cmd{Script: "env -0", Env: e, Pipeline: NewPipeline("env -0", e)}
			got, direct := outcomeOf(t, c, "")
			got.out, want.out = sorted(got.out, "\x00"), sorted(want.out, "\x00") // programs do not depend on the order
			if direct && got != want {
				t.Errorf("%s=%s: without bash (%v) %+v, with %+v", name, value, direct, got, want)
			}
		}
	}
}

// knownVars are names that bash(1) has, some of which are not set at first.
const knownVars = ` CDPATH CHILD_MAX COLUMNS COMPREPLY COMP_CWORD COMP_KEY COMP_LINE COMP_POINT COMP_TYPE
	COMP_WORDBREAKS COMP_WORDS COPROC DIRSTACK EMACS ENV EPOCHREALTIME EPOCHSECONDS EUID EXECIGNORE FCEDIT FIGNORE
	FUNCNAME FUNCNEST GLOBIGNORE GLOBSORT GROUPS HISTCMD HISTCONTROL HISTFILE HISTFILESIZE HISTIGNORE HISTSIZE
	HISTTIMEFORMAT HOME HOSTFILE HOSTNAME HOSTTYPE IFS IGNOREEOF INPUTRC INSIDE_EMACS LANG LC_COLLATE LC_CTYPE
	LC_MESSAGES LC_NUMERIC LC_TIME LINENO LINES MACHTYPE MAIL MAILCHECK MAILPATH MAPFILE OLDPWD OPTARG OPTERR OPTIND
	OSTYPE PATH PIPESTATUS POSIXLY_CORRECT PPID PROMPT_COMMAND PROMPT_DIRTRIM PS0 PS1 PS2 PS3 PS4 PWD RANDOM
	READLINE_ARGUMENT READLINE_LINE READLINE_MARK READLINE_POINT REPLY SECONDS SHELL SHELLOPTS SHLVL SRANDOM TERM
	TEXTDOMAIN TEXTDOMAINDIR TIMEFORMAT TMOUT TMPDIR TZ UID USER auto_resume histchars filename`

// bashSays returns what bash prints.
func bashSays(t *testing.T, script string) string {
	t.Helper()
	out, err := osexec.Command("bash", "--norc", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Nothing that is bash's own is taken for a program.
func TestShellWords(t *testing.T) {
	for _, name := range strings.Fields(bashSays(t, "compgen -b; compgen -k")) {
		if !slices.Contains(shellWords, name) {
			t.Errorf("%s is not listed", name)
		}
	}
}
