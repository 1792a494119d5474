package exec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"testing"
)

// Some hundreds of commands of random words.
func TestBothWaysRandom(t *testing.T) {
	seed := uint64(1)
	n := 400
	if testing.Short() {
		n = 60
	}
	random := rand.New(rand.NewPCG(seed, 0))
	vars := append(slices.Clone(env), "PATH="+os.Getenv("PATH")+":"+programs(t), "filename=000_a", "S4_KEY=s4://b/in/000_a", "EMPTY=", "BLANKS= a  b ", "GLOB=*")
	direct := 0
	for i := range n {
		script := randomScript(random)
		c := Cmd{Script: script, Env: vars, Pipeline: NewPipeline(script, vars)}
		got, without := outcomeOf(t, c, "b\na\nc\n")
		if !without {
			continue
		}
		direct++
		c.Pipeline = nil
		want, _ := outcomeOf(t, c, "b\na\nc\n")
		// Programs that write to standard error at the same time do so in any order.
		gotErr, wantErr := got.err, want.err
		got.err, want.err = sorted(got.err, ""), sorted(want.err, "")
		if got != want {
			t.Fatalf("command %d of seed %d, %q: without bash\n%+v\n%s\nwith\n%+v\n%s", i, seed, script, got, gotErr, want, wantErr)
		}
	}
	if direct < n/4 || direct > n*9/10 {
		t.Errorf("%d of %d without bash: not what is to be tested", direct, n)
	}
}

// randomScript returns a pipeline, most likely.
func randomScript(random *rand.Rand) string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	var words []string
	plain := func() string {
		return pick("a", "b.c", "x=y", "-n", "--", "/", "a,b", "1", "@", "%", "^", "+", ":", "e-f_g")
	}
	quoted := func() string {
		inner := pick("", " ", "a", "a  b", "*", "~", "{a,b}", "#", "!", ";", "|", "&", "\t", "\n", "ü", "<", "(", "-")
		if random.IntN(2) == 0 {
			return "'" + inner + pick("", `"`, `\`, "`") + "'"
		}
		return `"` + inner + pick("", "'", `\\`, `\"`, `\$`, `\a`, "$filename", "${S4_KEY}", "$EMPTY", "$BLANKS", "$GLOB") + `"`
	}
	odd := func() string {
		return pick("*", "~", "{a,b}", `\a`, `\ `, "$EMPTY", "$BLANKS", "$NOT_SET", "a#", "#", "$'a'", "$(echo x)", ";", "&", "&&", "||", "(", ")", "<in", ">out", "2>&1", "|&", "\xff", "ü", "!", "[", "]", "?", "\n", "\\\n")
	}
	signals := []string{"KILL", "TERM", "INT", "PIPE", "HUP", "USR1", "ALRM", "XCPU", "40"}
	random.Shuffle(len(signals), func(i, j int) { signals[i], signals[j] = signals[j], signals[i] })
	stages := 1 + random.IntN(3)
	for stage := range stages {
		if stage > 0 {
			words = append(words, pick("|", "|", "|", "|\n", "| # x\n"))
		}
		// Each reads all of its input, or SIGPIPE would be a matter of chance.
		kind := random.IntN(8)
		if kind > 3 && stage > 0 {
			kind %= 4
		}
		switch kind {
		case 0:
			words = append(words, pick("no-such-program", "args", "args", "args", "\"args\"", "'args'", "/"))
		case 1:
			words = append(words, pick("cat", "'cat'", "/bin/cat", "tr a-z A-Z", "sort", "wc -c", "tail -n 1", "rev", "grep a", "grep x", "tee f"))
			continue
		case 2:
			words = append(words, fmt.Sprintf("sh -c 'cat; exit %d'", random.IntN(4)))
			continue
		case 3:
			words = append(words, fmt.Sprintf("sh -c 'cat; kill -%s $$'", signals[stage]))
			continue
		case 4:
			words = append(words, pick("echo", "true", "/usr/bin/printf %s", "test", "/usr/bin/echo"))
		default:
			words = append(words, "/usr/bin/printf '%s|'")
		}
		for range random.IntN(5) {
			word := ""
			for range 1 + random.IntN(2) {
				switch k := random.IntN(16); {
				case k < 7:
					word += plain()
				case k < 15:
					word += quoted()
				default:
					word += odd()
				}
			}
			words = append(words, word)
		}
	}
	return strings.Join(words, pick(" ", " ", " ", "  ", "\t")) + pick("", "", "", " ", "\n", " # end", "\n\n")
}

// FuzzParse compares the words of what needs no shell with those that bash reads.
func FuzzParse(f *testing.F) {
	random := rand.New(rand.NewPCG(2, 0))
	for range 200 {
		f.Add(randomScript(random))
	}
	for _, s := range []string{"cat\\\n", "a|b|c", "a 'b", `a "\`, "a \\", "a | b \\\n c", "a '\r\n'", "a $", `a "$a$"`, `a ${a}b`, `"a"'b'c`, "a|\n#\n\nb\n#", "a\t|\tb", "a $a[1]"} {
		f.Add(s)
	}
	bash, err := osexec.LookPath("bash")
	if err != nil {
		f.Skip("no bash")
	}
	vars := map[string]string{"a": "A", "filename": "f", "S4_KEY": "s4://b/k", "EMPTY": "", "BLANKS": " a  b ", "GLOB": "*"}
	f.Fuzz(func(t *testing.T, script string) {
		list, _, ok := parse(script)
		if !ok {
			return
		}
		var want strings.Builder
		for _, c := range list {
			for i, w := range c.words {
				text, ok := w.expand(vars)
				if !ok || i == 0 && (slices.Contains(shellWords, text) || strings.ContainsAny(text, "/%")) || strings.Contains(text, "\x00") {
					return
				}
				want.WriteString(text + "\x00")
			}
			want.WriteString("\n\x00")
		}
		// Every command passes on what it reads, and appends its words.
		cmd := osexec.Command(bash, "--norc", "-e", "-u", "-o", "pipefail", "-c", "--", script)
		cmd.Env = []string{"LC_ALL=C", "PATH=/no/such", "BASH_FUNC_command_not_found_handle%%=() { while IFS= read -r -d '' l; do printf '%s\\0' \"$l\"; done; printf '%s\\0' \"$@\" $'\\n'; }"}
		for name, value := range vars {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.Output()
		if err != nil || string(out) != want.String() {
			var stderr []byte
			if e := new(osexec.ExitError); errors.As(err, &e) {
				stderr = e.Stderr
			}
			t.Errorf("%q: got %q, bash has %q (%v %s)", script, want.String(), out, err, stderr)
		}
	})
}
