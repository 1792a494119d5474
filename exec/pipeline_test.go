package exec

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outcome is all that tells of a command.
type outcome struct {
	out, err, text string // text is ExitText
	code           int
	signal         int
	timedOut       bool
	files          string // that it has left, with what is in them
	read           int64  // offset of standard input
}

// pids are the process ids in a list of bash's, with the blanks before them.
var pids = regexp.MustCompile(`(?m)^(bash: line \d+: | {5}) *\d+ `)

// outcomeOf runs c in a new directory with the given input.
func outcomeOf(t *testing.T, c Cmd, input string) (outcome, bool) {
	t.Helper()
	dir := t.TempDir()
	c.Dir = filepath.Join(dir, "work")
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(input), 0o644); err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	c.Stdin, c.Stdout = stdin, stdout
	c.StderrTail = 16 << 10
	res, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("%q: %v", c.Script, err)
	}
	o := outcome{err: pids.ReplaceAllString(string(res.Stderr), "${1}PID "), text: ExitText(res), code: res.ExitCode, signal: int(res.Signal), timedOut: res.TimedOut}
	// What is told of a directory has its name, which differs.
	o.out = strings.ReplaceAll(contents(t, stdout), dir, "DIR")
	o.err = strings.ReplaceAll(o.err, dir, "DIR")
	if o.read, err = stdin.Seek(0, 1); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		b, _ := os.ReadFile(filepath.Join(c.Dir, e.Name()))
		o.files += fmt.Sprintf("%s %q\n", e.Name(), b)
	}
	return o, res.Direct
}

// sameBothWays runs a command with bash and without, and compares. It returns whether it
// could run without.
func sameBothWays(t *testing.T, c Cmd, input string) bool {
	t.Helper()
	if c.Env == nil {
		c.Env = env
	}
	want, direct := outcomeOf(t, c, input)
	if direct {
		t.Fatalf("%q: without bash, and not asked for", c.Script)
	}
	c.Pipeline = NewPipeline(c.Script, c.Env)
	got, direct := outcomeOf(t, c, input)
	if direct && got != want {
		t.Errorf("%q: without bash (%v)\n%+v\nwith\n%+v", c.Script, direct, got, want)
	}
	return direct
}

// programs makes a directory of programs that are odd in some way.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"args":     "#!/bin/sh\ncat\nprintf '%s|' \"$@\"\n", // reads all of its input
		"script":   "#!/bin/sh\necho script \"$0\" \"$@\"\n",
		"noexec":   "#!/bin/sh\necho noexec\n",
		"nobang":   "echo nobang \"$0\" \"$@\"\n",
		"nointerp": "#!/no/such/interpreter\n",
		"nested":   "#!" + dir + "/script -x\n",
		"relative": "#!sh\necho relative\n",
		"empty":    "",
		"nul":      "\x00\x01\x02\n",
		"cut":      "\x7fELF\x02\x01\x01",
		"a=b":      "#!/bin/sh\necho a=b\n",
		"echo":     "#!/bin/sh\necho not bash\n",
		"if":       "#!/bin/sh\necho not bash\n",
		"%1":       "#!/bin/sh\necho not bash\n",
		"a b":      "#!/bin/sh\necho a b\n",
		"ü":        "#!/bin/sh\necho ü\n",
		"-x":       "#!/bin/sh\necho dash\n",
		"tr":       "",
	} {
		mode := os.FileMode(0o755)
		if name == "noexec" || name == "tr" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"directory", "sort"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("script", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

const kill = `sh -c 'kill -%s $$'`

// TestBothWays runs commands with bash and without. What they tell must be the same. It
// also tells of each whether it needs bash.
func TestBothWays(t *testing.T) {
	dir := programs(t)
	vars := append(slices.Clone(env), "PATH="+os.Getenv("PATH")+":"+dir, "filename=000_a", "S4_KEY=s4://b/in/000_a", "S4_ASSETS="+dir,
		"EMPTY=", "BLANKS= a  b ", "GLOB=*", "TILDE=~", "BACK=a\\b", "NEWLINE=a\nb", "UMLAUT=ü", "BYTES=\xff\x01\x7f")
	const input = "b\na\nc\n"
	direct, needsBash := true, false
	for _, test := range []struct {
		script string
		want   bool
	}{
		// Simple commands and pipelines.
		{"cat", direct},
		{"tr a-z A-Z | sort -r", direct},
		{"sort|uniq|wc -l", direct},
		{"cat | cat | cat | cat | cat | cat", direct},
		{strings.Repeat("cat | ", 15) + "cat", direct},
		{strings.Repeat("cat | ", 16) + "cat", needsBash},
		{"cat " + strings.Repeat(" ", 5000), needsBash},
		{"cat |\n\n sort", direct},
		{"cat \\\n | \\\n sort", direct},
		{"\n\n  cat  ", direct},
		{"cat\n", direct},
		{"cat\n\n", needsBash}, // bash does not replace itself by it
		{"cat | sort\n\n\n", direct},
		{"cat # a comment | sort", direct},
		{"# a comment\ncat | sort # another\n", direct},
		{"cat | # a comment\nsort", direct},
		{"cat # a comment\n| sort", needsBash},
		{"#!/bin/bash\ncat", direct},
		{"/bin/cat", direct},
		{"", needsBash},
		{"\n", needsBash},
		{"# nothing", needsBash},

		// Words.
		{`/usr/bin/printf '%s\0' a 'b  c' "d  e" f'g'"h" '' "" x''y '"' "'" '\' "\\" "\"" "\$" "\` + "`" + `" "\a" "\n"`, direct},
		{`/usr/bin/printf '%s\0' 'a
b' "c
d"`, direct},
		{`/usr/bin/printf '%s\0' "a\
b"`, needsBash},
		{`/usr/bin/printf '%s\0' 'a\
b'`, needsBash}, // bash shows it otherwise in messages
		{`/usr/bin/printf '%s\0' 'ü' "日本" '!' "!" "!!" '*' "?" '~' '{a,b}' '$x' '#' "#" '<' '|' '&' ';' '(' '[a]'`, direct},
		{`/usr/bin/printf '%s\0' a=b --c=d a,b a:b a@b a%b a^b a+b ./a ../b - -- ---`, direct},
		{`/usr/bin/printf '%s\0' a#b`, needsBash},
		{`/usr/bin/printf '%s\0' ü`, needsBash},
		{`/usr/bin/printf '%s\0' a\ b`, needsBash},
		{`/usr/bin/printf '%s\0' ~ a=~ a:~ ~root`, needsBash},
		{`/usr/bin/printf '%s\0' {a,b} {1..3}`, needsBash},
		{`/usr/bin/printf '%s\0' * ? [a]`, needsBash},
		{`/usr/bin/printf '%s\0' @(a) !(a) +(a)`, needsBash},
		{`/usr/bin/printf '%s\0' $'a\tb'`, needsBash},
		{`/usr/bin/printf '%s\0' $"a"`, needsBash},
		{`/usr/bin/printf '%s\0' $(echo a)`, needsBash},
		{"/usr/bin/printf '%s\\0' `echo a`", needsBash},
		{`/usr/bin/printf '%s\0' "$(echo a)"`, needsBash},
		{`/usr/bin/printf '%s\0' $((1+2))`, needsBash},
		{`/usr/bin/printf '%s\0' !x`, needsBash},
		{"/usr/bin/printf '%s\\0' a\rb", needsBash},
		{"cat\r", needsBash},
		{"cat\r\n", needsBash},
		{"/usr/bin/printf '%s\\0' 'a\rb'", needsBash},
		{"/usr/bin/printf '%s\\0' '\x01\x7f\x1b'", needsBash},
		{"/usr/bin/printf '%s\\0' '\xff\xfe'", needsBash},
		{"/usr/bin/printf '%s\\0' \xff", needsBash},
		{"/usr/bin/printf '%s\\0' '\t' \ta", direct},
		{"/usr/bin/printf '%s\\0' '\u00a0' \"\u2028\"", direct},
		{`"cat"`, direct},
		{`c'a't`, direct},
		{`''`, needsBash},
		{`"" a`, needsBash},
		{`-x`, direct},
		{`'a b'`, direct},
		{`ü`, needsBash},
		{`'ü'`, direct},

		// Variables.
		{`/usr/bin/printf '%s\0' "$filename" "${filename}.x" "$S4_KEY/$filename" "a$EMPTY" "$EMPTY" "$BLANKS" "$GLOB" "$TILDE" "$BACK" "$NEWLINE" "$UMLAUT" "$BYTES"`, direct},
		{`/usr/bin/printf '%s\0' $filename ${filename} $S4_KEY/x a$filename"b"'c'`, direct},
		{`/usr/bin/printf '%s\0' '$filename' "\$filename"`, direct},
		{`/usr/bin/printf '%s\0' $EMPTY`, needsBash},
		{`/usr/bin/printf '%s\0' $BLANKS`, needsBash},
		{`/usr/bin/printf '%s\0' $GLOB`, needsBash},
		{`/usr/bin/printf '%s\0' $TILDE`, needsBash},
		{`/usr/bin/printf '%s\0' $BACK`, needsBash},
		{`/usr/bin/printf '%s\0' $UMLAUT`, needsBash},
		{`/usr/bin/printf '%s\0' "$NOT_SET"`, needsBash},
		{`/usr/bin/printf '%s\0' "$PWD"`, needsBash},
		{`/usr/bin/printf '%s\0' "$OLDPWD"`, needsBash},
		{`/usr/bin/printf '%s\0' "$SHLVL"`, needsBash},
		{`/usr/bin/printf '%s\0' "$_"`, needsBash},
		{`/usr/bin/printf '%s\0' "$1" "$#" "$?"`, needsBash},
		{`/usr/bin/printf '%s\0' "$0" "$-"`, needsBash},
		{`/usr/bin/printf '%s\0' "$@"`, needsBash},
		{`/usr/bin/printf '%s\0' "$IFS"`, needsBash},
		{`/usr/bin/printf '%s\0' "${filename%_*}"`, needsBash},
		{`/usr/bin/printf '%s\0' "${#filename}"`, needsBash},
		{`/usr/bin/printf '%s\0' "${filename:-x}"`, needsBash},
		{`/usr/bin/printf '%s\0' "${!filename}"`, needsBash},
		{`/usr/bin/printf '%s\0' "${filename[0]}"`, needsBash},
		{`/usr/bin/printf '%s\0' "$filename[0]"`, direct},
		{`/usr/bin/printf '%s\0' "$[1+2]"`, needsBash},
		{`/usr/bin/printf '%s\0' "$" "a$" "$ a"`, direct},
		{`$S4_ASSETS/script a "$filename"`, direct},
		{`"$S4_ASSETS/script" a`, direct},
		{`$filename`, needsBash},

		// Programs.
		{"no-such-program", needsBash},
		{"cat | no-such-program", needsBash},
		{"no-such-program | cat", needsBash},
		{"/no/such/program", needsBash},
		{dir + "/script a", direct},
		{dir + "/link a | cat", direct},
		{dir + "/nested a | cat", direct},
		{dir + "/noexec", needsBash},
		{dir + "/nobang a", needsBash},
		{dir + "/nobang a | cat", needsBash},
		{dir + "/nointerp", needsBash},
		{dir + "/relative", needsBash},
		{dir + "/empty", needsBash},
		{dir + "/nul", needsBash},
		{dir + "/cut", needsBash},
		{dir + "/directory", needsBash},
		{"cat | " + dir + "/noexec", needsBash},
		{"cat | " + dir + "/nointerp", needsBash},
		{"cat | " + dir + "/relative", needsBash},
		{"cat | " + dir + "/empty", needsBash},
		{"cat | " + dir + "/cut", needsBash},
		{"cat | " + dir + "/directory", needsBash},
		{dir + "/a=b", needsBash},
		{"a=b cat", needsBash},
		{"a=b", needsBash},
		{"a=b | cat", needsBash},
		{"'a=b'", needsBash},
		{"%1", needsBash},
		{"./script", needsBash},
		{"../script", needsBash},
		{".", needsBash},
		{"..", needsBash},
		{"/", needsBash},

		// What is bash's.
		{"true", needsBash}, {"false", needsBash}, {":", needsBash}, {"echo a", needsBash}, {"'echo' a", needsBash},
		{"printf %s a", needsBash}, {"test a", needsBash}, {"[ a ]", needsBash}, {"[[ a ]]", needsBash}, {"pwd", needsBash},
		{"exit 3", needsBash}, {"exec cat", needsBash}, {"command cat", needsBash}, {"builtin echo a", needsBash}, {"eval cat", needsBash},
		{"type cat", needsBash}, {"umask 0", needsBash}, {"cd /", needsBash}, {"read a", needsBash}, {"read a | cat", needsBash}, {"ulimit -n", needsBash},
		{"! cat", needsBash}, {"! false", needsBash}, {"{ cat; }", needsBash}, {"(cat)", needsBash}, {"if true; then cat; fi", needsBash},
		{"'if'", needsBash}, {"for i in 1 2; do cat; done", needsBash}, {"f() { cat; }; f", needsBash}, {"cat()", needsBash}, {"coproc cat", needsBash},
		{"cat; cat", needsBash}, {"cat;", needsBash}, {"cat && cat", needsBash}, {"cat || cat", needsBash}, {"cat\ncat", needsBash},
		{"cat & wait", needsBash}, {"cat |& cat", needsBash}, {"cat no-such-file |& cat", needsBash}, {"let a=1", needsBash}, {"declare a=1", needsBash},
		{"((1))", needsBash}, {"select a in b; do break; done", needsBash}, {"case a in a) cat; esac", needsBash}, {"while false; do :; done", needsBash},
		{"a[0]=1", needsBash}, {"export a=1", needsBash}, {"shopt -s extglob", needsBash}, {"alias a=cat", needsBash}, {"history", needsBash},
		{"cat |", needsBash}, {"| cat", needsBash}, {"cat || ", needsBash}, {"cat 'a", needsBash}, {`cat "a`, needsBash}, {"cat )", needsBash}, {"cat }", needsBash},

		// Redirections.
		{"cat <in", needsBash}, {"cat >out", needsBash}, {"cat 2>&1", needsBash}, {"cat <<<a", needsBash}, {"cat <<a\nb\na", needsBash},
		{"cat <(cat)", needsBash}, {"cat >&2", needsBash}, {"cat &>out", needsBash}, {"<in cat", needsBash}, {"cat 3<&0", needsBash},

		// Exit codes of each stage.
		{`sh -c 'exit 3'`, direct},
		{`sh -c 'exit 3' | cat`, direct},
		{`cat | sh -c 'exit 3'`, direct},
		{`sh -c 'exit 3' | sh -c 'exit 4' | cat`, direct},
		{`sh -c 'exit 3' | sh -c 'exit 4' | sh -c 'exit 5'`, direct},
		{`sh -c 'exit 3' | sh -c 'exit 255' | sh -c 'cat; exit 0'`, direct},
		{`cat no-such-file`, direct},
		{`cat no-such-file | cat`, direct},
		{`grep x`, direct},
		{`grep x | cat`, direct},

		// Signals.
		{fmt.Sprintf(kill, "KILL"), direct},
		{fmt.Sprintf(kill, "TERM"), direct},
		{fmt.Sprintf(kill, "PIPE"), direct},
		{fmt.Sprintf(kill, "SEGV"), direct},
		{fmt.Sprintf(kill, "KILL") + " | sh -c 'exit 3'", direct},
		{"sh -c 'exit 3' | " + fmt.Sprintf(kill, "KILL") + " | cat", direct},
		{fmt.Sprintf(kill, "SEGV") + " | " + fmt.Sprintf(kill, "SEGV"), direct},
		{"cat /dev/null | cat /dev/null | " + fmt.Sprintf(kill, "KILL"), direct},
		{"cat /dev/null | cat 'a  b' \"c\" | " + fmt.Sprintf(kill, "ABRT"), direct},
		{fmt.Sprintf(kill, "TERM") + " | " + fmt.Sprintf(kill, "KILL"), direct},
		{fmt.Sprintf(kill, "PIPE") + " | " + fmt.Sprintf(kill, "KILL"), direct},
		{fmt.Sprintf(kill, "KILL") + " | " + fmt.Sprintf(kill, "PIPE"), direct},
		{"\n\ncat /dev/null |\n" + fmt.Sprintf(kill, "HUP") + "|\ncat\n", direct},
		{"cat \\\n  /dev/null | " + fmt.Sprintf(kill, "HUP") + " # comment\n\n", direct},
		{"sh -c 'ulimit -c 0; kill -QUIT $$' | cat", direct},
		{"sleep 1000 | sleep 1000 | sh -c 'kill 0'", direct},
		{"sh -c 'kill -KILL 0'", direct},
		{"timeout 0.05 sleep 10", direct},
		{"timeout 0.05 sleep 10 | cat", direct},
		{"timeout 0.05 sleep 10 | sh -c 'sleep 0.1; cat; echo still here'", direct},
		{"timeout -s KILL 0.05 sleep 10 | cat", direct},
		{"setsid sh -c 'sleep 0.05; echo waited' | cat", direct},
		{"sh -c 'trap \"\" PIPE; while echo a; do :; done 2>/dev/null; echo failed >&2' | sh -c 'exit 0'", direct},

		// Pipes.
		{"head -n 1", direct},
		{"yes | head -n 1", direct},
		{"yes | sh -c 'read a; echo $a; kill -KILL $$'", direct},
		{"cat | yes | head -n 1", direct},
		{"head -c 3000000 /dev/zero | cat | wc -c", direct},
		{"head -c 3000000 /dev/zero | tr '\\0' x", direct},
		{"sh -c 'exec >&-; sleep 0.02' | cat", direct},
		{"sh -c 'exec 0<&-; cat no-such-file' | cat", direct},
		{"sh -c 'exec 1>&-; cat' | cat", direct},
		{"sh -c 'sleep 100 & echo a' | cat no-such-file", direct},
		{"sh -c 'sleep 0.05 & echo a' | cat", direct},
		{"sh -c 'sleep 100 >/dev/null & echo a' | cat", direct},
		{"sh -c 'echo a >&2; echo b >&2' | cat", direct},
		{"tee 0 1 2 | wc -c", direct},
		{"sh -c 'ls /proc/self/fd; umask; ulimit -n; cat /proc/self/status | grep -E \"^(Sig[BIC]|Umask|NoNewPrivs)\"'", direct},
		{"cat | sh -c 'cat; ls /proc/self/fd; umask; ulimit -n; grep -E \"^Sig[BIC]\" /proc/self/status'", direct},
		{"sh -c 'test $(ps -o pgid= -p $$) -ne $$; echo $?'", direct},
		{"sh -c 'test $(ps -o pgid= -p $$) -ne $$; echo $?' | cat", direct},
		{"readlink /proc/self/cwd", direct},
		{"/bin/pwd | cat", direct},

		// The environment.
		{"printenv filename S4_KEY LC_ALL PWD SHLVL _", direct},
		{"sh -c '' | printenv filename S4_KEY LC_ALL PWD SHLVL _ | cat", direct},
		{"env | cat", direct},
	} {
		t.Run(strings.ReplaceAll(test.script, "/", "_"), func(t *testing.T) {
			if test.script == "env | cat" {
				test.script = "env -0 | sort -z"
			}
			if got := sameBothWays(t, Cmd{Script: test.script, Env: vars}, input); got != test.want {
				t.Errorf("%q: without bash: %v, want %v", test.script, got, test.want)
			}
		})
	}
}

// If nothing has been started when a program is not there any more, bash says so, and else
// it is told as bash does.
func TestProgramGone(t *testing.T) {
	dir := programs(t)
	for _, test := range []struct {
		script, want string
		direct       bool
	}{
		{dir + "/script", "bash: line 1: " + dir + "/script: No such file or directory\n", false},
		{dir + "/script | cat", "bash: line 1: " + dir + "/script: No such file or directory\n", false},
		{"cat | " + dir + "/script | cat", "bash: line 1: " + dir + "/script: No such file or directory\n", true},
		{"cat | " + dir + "/script", "bash: line 1: " + dir + "/script: No such file or directory\n", true},
	} {
		p := NewPipeline(test.script, env)
		if p == nil {
			t.Fatalf("%q needs bash", test.script)
		}
		moved := filepath.Join(dir, "moved")
		if err := os.Rename(filepath.Join(dir, "script"), moved); err != nil {
			t.Fatal(err)
		}
		got, direct := outcomeOf(t, Cmd{Script: test.script, Env: env, Pipeline: p}, "a\n")
		if got.code != 127 || got.err != test.want || direct != test.direct {
			t.Errorf("%q: %+v, without bash %v", test.script, got, direct)
		}
		if err := os.Rename(moved, filepath.Join(dir, "script")); err != nil {
			t.Fatal(err)
		}
	}
}

// What bash would say of a signal goes to the caller's standard error, too.
func TestListToStderr(t *testing.T) {
	script := "cat | " + fmt.Sprintf(kill, "KILL")
	errs := tempFile(t)
	res, err := Run(t.Context(), Cmd{Script: script, Dir: t.TempDir(), Env: env, Stderr: errs, Pipeline: NewPipeline(script, env)})
	if err != nil || !res.Direct || res.ExitCode != 137 {
		t.Fatal(res, err)
	}
	want := "bash: line 1: PID Done                    cat\n     PID Killed                  | sh -c 'kill -KILL $$'\n"
	if got := pids.ReplaceAllString(contents(t, errs), "${1}PID "); got != want {
		t.Errorf("got %q", got)
	}
}
