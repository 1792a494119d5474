package chaos

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// task is what a job is made of: a verb and a command, and what they make of the input.
type task struct {
	name, verb string
	flags      []string
	before     string // a part of the command that has no part in its output
	command    string
	manifest   bool // its tasks are named as the input, and have their names for a record
	want       output
}

func (t *task) keepsGoing() bool { return slices.Contains(t.flags, "--keep-going") }

// output is the keys of a job below its OUTDIR, and hashes of what they hold.
type output map[string]uint64

// work is the input of jobs, what is done with it, and what came of it.
type work struct {
	input map[string][]byte // by path below inputDir
	tasks []*task

	mu       sync.Mutex
	contests []*contest
}

const (
	inputDir   = "s4://chaos/in/"
	outputDir  = "s4://chaos/out/"
	keysDir    = "s4://chaos/keys/"
	everything = "s4://chaos/"
)

// slowly makes a task take a moment, so that faults meet it.
const slowly = "sleep 0.$((RANDOM % 5)); "

func newTasks() []*task {
	upper := "tr a-z A-Z"
	return []*task{
		{name: "map", verb: "map", before: slowly, command: upper},
		{name: "other map", verb: "map", before: slowly, command: "sed 's/^/= /'"},
		{name: "map-to-n", verb: "map-to-n", before: slowly, command: `awk '{ f = sprintf("%03d", $1 % 7); print > f }'; ls`},
		{name: "map-from-n", verb: "map-from-n", before: slowly, command: `xargs -d '\n' cat | sort`},
		{name: "map -k", verb: "map", flags: []string{"--keep-going"}, before: slowly, command: `case $filename in *3) exit 3;; esac; ` + upper},
		{name: "map-to-n -k", verb: "map-to-n", flags: []string{"--keep-going"}, before: slowly,
			command: `case $filename in *1) exit 3;; esac; awk '{ f = sprintf("%03d_x", $1 % 3); print > f }'; ls`},
		{name: "map --manifest", verb: "map", manifest: true, before: slowly, command: upper},
		{name: "map --retries", verb: "map", flags: []string{"--retries", "3"}, command: upper,
			before: `f=$TMPDIR/$S4_TASK; [ -e $f ] || { touch $f; exit 9; }; ` + slowly},
		{name: "map-to-n --retries", verb: "map-to-n", flags: []string{"--retries", "3"}, command: `awk '{ f = "part" $1 % 4; print > f }'; ls`,
			before: `f=$TMPDIR/$S4_TASK; [ -e $f ] || { touch $f; echo half >part0; echo part0; exit 9; }; ` + slowly},
	}
}

// newWork puts the input, and does here what the jobs will do.
func (l *load) newWork() (*work, error) {
	w := &work{input: make(map[string][]byte), tasks: newTasks()}
	rng := l.random("input")
	for _, dir := range []string{"a", "b", "c/d"} {
		for i := range 8 {
			w.input[fmt.Sprintf("%s/%03d", dir, i)] = lines(rng)
		}
	}
	for name, b := range w.input {
		if err := l.api.Put(context.Background(), inputDir+name, bytes.NewReader(b), int64(len(b))); err != nil {
			return nil, err
		}
	}
	for _, t := range w.tasks {
		var err error
		if t.want, err = w.expect(t); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return w, nil
}

// lines makes the text of an input.
func lines(rng *rand.Rand) []byte {
	var b []byte
	for range 10 << rng.IntN(9) {
		b = fmt.Appendf(b, "%d line %x\n", rng.IntN(100000), rng.Uint32())
	}
	return b
}

// hash is of what a key holds.
func hash(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return h.Sum64()
}

// expect does a job here, one task after the other.
func (w *work) expect(t *task) (output, error) {
	dir, err := os.MkdirTemp("", "s4-chaos-work-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	want := make(output)
	groups := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(w.input)) {
		if t.verb == "map-from-n" {
			file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
			if err := os.WriteFile(file, w.input[name], 0o644); err != nil {
				return nil, err
			}
			groups[path.Base(name)] = append(groups[path.Base(name)], file)
			continue
		}
		cwd := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.Mkdir(cwd, 0o755); err != nil {
			return nil, err
		}
		stdin := w.input[name]
		if t.manifest {
			stdin = []byte(name + "\n")
		}
		out, err := t.runHere(cwd, name, stdin)
		switch {
		case err != nil && t.keepsGoing():
		case err != nil:
			return nil, err
		case t.verb == "map":
			want[name] = hash(out)
		default:
			for file := range strings.FieldsSeq(string(out)) {
				b, err := os.ReadFile(filepath.Join(cwd, file))
				if err != nil {
					return nil, err
				}
				want[name+"/"+file] = hash(b)
			}
		}
	}
	for group, files := range groups {
		out, err := t.runHere(dir, group, []byte(strings.Join(files, "\n")+"\n"))
		if err != nil {
			return nil, err
		}
		want[group] = hash(out)
	}
	return want, nil
}

func (t *task) runHere(dir, name string, stdin []byte) ([]byte, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", t.command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "filename="+path.Base(name))
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.Output()
}
