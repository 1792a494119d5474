package exec

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// shellWords are bash's own: its builtins and its reserved words. A command that is
// called so is bash's to run, also if there is a program of that name.
var shellWords = strings.Fields(`
	. : [ alias bg bind break builtin caller cd command compgen complete compopt continue
	declare dirs disown echo enable eval exec exit export false fc fg getopts hash help
	history jobs kill let local logout mapfile popd printf pushd pwd read readarray
	readonly return set shift shopt source suspend test times trap true type typeset
	ulimit umask unalias unset wait
	if then else elif fi case esac for select while until do done in function time coproc
	{ } ! [[ ]]`)

// findProgram returns the path of the program that bash runs for a command's first
// word, or "" if there is none, or bash has to say so or to run it.
func findProgram(name, path string) string {
	if name == "" || slices.Contains(shellWords, name) || strings.HasPrefix(name, "%") { // %1 is a job
		return ""
	}
	if strings.Contains(name, "/") {
		if filepath.IsAbs(name) && runnable(name) {
			return name
		}
		return "" // what it is depends on the task's directory
	}
	for _, dir := range strings.Split(path, ":") {
		if !filepath.IsAbs(dir) {
			return ""
		}
		file := strings.TrimSuffix(dir, "/") + "/" + name
		if _, err := os.Stat(file); os.IsNotExist(err) {
			continue
		}
		// Bash goes on past a directory, or what may not be run, and comes back to it
		// for its message if it finds nothing else.
		if runnable(file) {
			return file
		}
		return ""
	}
	return ""
}

// maxInterpreters is how many scripts may be run by each other (execve(2)).
const maxInterpreters = 4

// runnable reports whether execve(2) can be expected to run a file: what it does not run
// for want of a format, bash takes for a script of its own.
func runnable(file string) bool {
	for range maxInterpreters {
		fi, err := os.Stat(file)
		if err != nil || !fi.Mode().IsRegular() || unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS) != nil {
			return false
		}
		interpreter, ok := interpreterOf(file)
		if !ok || interpreter == "" {
			return ok
		}
		file = interpreter
	}
	return false
}

// interpreterOf returns the program that the first line of a script names, or "" for a
// binary. ok is false if the file is neither, or may not run.
func interpreterOf(file string) (path string, ok bool) {
	f, err := os.Open(file)
	if err != nil {
		return "", false
	}
	defer f.Close()
	head := make([]byte, 256) // BINPRM_BUF_SIZE in linux/binfmts.h
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return "", false
	}
	line, script := bytes.CutPrefix(head[:n], []byte("#!"))
	if !script {
		return "", binary(f)
	}
	line, _, whole := bytes.Cut(line, []byte("\n"))
	words := strings.FieldsFunc(string(line), func(c rune) bool { return c == ' ' || c == '\t' })
	if !whole || len(words) == 0 || !filepath.IsAbs(words[0]) {
		return "", false
	}
	return words[0], true
}

// binary reports whether f is a program for the processor that this one runs on, and its
// dynamic linker is there.
func binary(f *os.File) bool {
	e, err := elf.NewFile(f)
	if err != nil {
		return false
	}
	own, err := elf.Open("/proc/self/exe")
	if err != nil {
		return false
	}
	defer own.Close()
	if e.Machine != own.Machine || e.Class != own.Class || e.Data != own.Data {
		return false
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(p.Open(), unix.PathMax))
		if err != nil || unix.Access(string(bytes.TrimRight(name, "\x00")), unix.X_OK) != nil {
			return false
		}
	}
	return true
}
