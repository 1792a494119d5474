package exec

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bashVars are variables that mean something to bash when it starts, or that it sets
// itself, so that the programs it starts do not see them as they were. Those that begin
// with BASH are not listed.
var bashVars = strings.Fields(`
	COMP_CWORD COMP_KEY COMP_LINE COMP_POINT COMP_TYPE COMP_WORDBREAKS COMP_WORDS COMPREPLY
	DIRSTACK EPOCHREALTIME EPOCHSECONDS EXECIGNORE FUNCNAME FUNCNEST GLOBIGNORE GROUPS HISTCMD
	IFS LINENO OPTARG OPTERR OPTIND PIPESTATUS POSIXLY_CORRECT POSIX_PEDANTIC PPID PS4 RANDOM
	SECONDS SHELLOPTS SRANDOM`)

// environ is what the programs of a pipeline see.
type environ struct {
	vars map[string]string // as they were given, without those that bash sets
	list []string          // as bash makes it of them; the last is _
}

// newEnviron makes of env what bash makes of it when it starts in dir. A command that it
// does not wait for, but becomes, has a lower SHLVL: alone says so. ok is false where bash
// might do more. real is Cmd.DirIsReal.
func newEnviron(env []string, dir string, real, alone bool) (e environ, ok bool) {
	e.vars = make(map[string]string, len(env))
	e.list = make([]string, 0, len(env)+4)
	for _, kv := range slices.Backward(env) { // of several equal names the last counts
		name, value, isVar := strings.Cut(kv, "=")
		if !isVar || name == "" || strings.HasPrefix(name, "BASH") || slices.Contains(bashVars, name) || strings.IndexByte(kv, 0) >= 0 {
			return environ{}, false
		}
		if _, again := e.vars[name]; again {
			continue
		}
		e.vars[name] = value
		switch name {
		case "PWD", "OLDPWD", "SHLVL", "_", "PS1", "PS2": // the last two are of interactive shells
		default:
			e.list = append(e.list, kv)
		}
	}
	// In another locale bash says so if there is no such, and reads scripts differently.
	if e.vars["LC_ALL"] != "C" {
		return environ{}, false
	}
	pwd := dir
	if !real || e.vars["PWD"] != "" {
		if pwd, ok = workDir(dir, e.vars["PWD"]); !ok {
			return environ{}, false
		}
	}
	level, ok := shellLevel(e.vars)
	if !ok {
		return environ{}, false
	}
	if !alone {
		level++
	}
	if old, set := e.vars["OLDPWD"]; set {
		if !filepath.IsAbs(old) {
			return environ{}, false
		}
		if fi, err := os.Stat(old); err == nil && fi.IsDir() {
			e.list = append(e.list, "OLDPWD="+old)
		}
	}
	for _, name := range []string{"PWD", "OLDPWD", "SHLVL", "_", "PS1", "PS2"} {
		delete(e.vars, name)
	}
	e.list = append(e.list, "PWD="+pwd, "SHLVL="+strconv.Itoa(level), "_=")
	return e, true
}

// of returns the environment of one program.
func (e environ) of(path string) []string {
	list := slices.Clone(e.list)
	list[len(list)-1] = "_=" + path
	return list
}

// workDir returns dir as getcwd(2) tells it. Bash keeps what PWD says if that is the same
// directory, by way of symbolic links: ok is false then.
func workDir(dir, pwd string) (path string, ok bool) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	path, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || !filepath.IsAbs(path) || strings.HasSuffix(path, " (deleted)") {
		return "", false
	}
	if pwd != "" && pwd != path {
		var a, b unix.Stat_t
		if unix.Stat(pwd, &a) == nil && unix.Fstat(fd, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino {
			return "", false
		}
	}
	return path, true
}

// shellLevel returns SHLVL. Bash complains of one that is too high.
func shellLevel(vars map[string]string) (level int, ok bool) {
	text, set := vars["SHLVL"]
	if !set {
		return 0, true
	}
	level, err := strconv.Atoi(text)
	return level, err == nil && strconv.Itoa(level) == text && 0 <= level && level < 900
}
