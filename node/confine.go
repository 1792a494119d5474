package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Confinement keeps commands from the server and from the machine: they run as another
// user, and each has limits. The nodes of a process share one. All its methods may be
// called on nil, which confines nothing.
//
// Commands of another user find this below the data directory. What the server makes
// there is its own, with the user's group where it says so:
//
//	DIR/                    0750, the user's group; left as it is if it was there
//	DIR/bucket/…            0755, keys are 0444
//	DIR/_s4/, DIR/_s4/jobs/ 0710, the user's group: only what one knows the name of
//	all else in DIR/_s4/    0700
//	jobs/<id>/, its tasks/  0710, the user's group
//	jobs/<id>/assets/       0555
//	jobs/<id>/tmp/          0700, the user's
//	jobs/<id>/tasks/<n>/    0700, the user's, and so is an eval's directory
//	all else in jobs/<id>/  0700, files 0600
//
// What a command has written belongs to its user until it is staged: see store.commit.
type Confinement struct {
	user    *user.User          // nil for the server's
	cred    *syscall.Credential // of user
	cgroups *exec.Cgroups       // nil for no limits
}

// TaskLimits are what one command may use, with all that it starts; 0 is without limit.
type TaskLimits struct {
	Memory int64   // bytes
	CPUs   float64 // processors
}

// MinTaskCPUs is the least number of processors that a command can be limited to.
const MinTaskCPUs = exec.MinCPUs

// Confine returns a Confinement for commands that run as the user of that name or number,
// or as this process's user if it is empty, and with limits. Close must be called when the
// nodes have been shut down. The error says in one line why it cannot be had.
func Confine(name string, limits TaskLimits) (*Confinement, error) {
	c := new(Confinement)
	if name != "" {
		if err := c.runAs(name); err != nil {
			return nil, fmt.Errorf("--run-as %s: %w", name, err)
		}
	}
	if limits != (TaskLimits{}) {
		g, err := exec.OpenCgroups(limits.Memory, limits.CPUs)
		if err != nil {
			return nil, fmt.Errorf("--task-memory and --task-cpu need a cgroup: %w", err)
		}
		c.cgroups = g
	}
	return c, nil
}

// Close removes the cgroups.
func (c *Confinement) Close() error {
	if c == nil || c.cgroups == nil {
		return nil
	}
	return c.cgroups.Close()
}

func (c *Confinement) runAs(name string) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can run commands as another user (start s4-server as that user instead)")
	}
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return errors.New("no such user")
	}
	ids, err := u.GroupIds()
	if err != nil {
		return err
	}
	c.user, c.cred = u, new(syscall.Credential)
	if c.cred.Uid, err = parseID(u.Uid); err != nil {
		return err
	}
	if c.cred.Gid, err = parseID(u.Gid); err != nil {
		return err
	}
	for _, id := range ids {
		gid, err := parseID(id)
		if err != nil {
			return err
		}
		c.cred.Groups = append(c.cred.Groups, gid)
	}
	if c.cred.Uid == 0 {
		return errors.New("that is root itself (choose a user without rights)")
	}
	return nil
}

func parseID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	return uint32(id), err
}

// otherUser reports whether commands run as another user than the server.
func (c *Confinement) otherUser() bool { return c != nil && c.user != nil }

// apply makes cmd a confined one.
func (c *Confinement) apply(cmd *exec.Cmd) {
	if c != nil {
		cmd.Credential, cmd.Cgroups = c.cred, c.cgroups
	}
}

// env returns the variables that a login would set for the user. The shell is bash, as
// that of a user for services may be one that does nothing.
func (c *Confinement) env(bash string) []string {
	if !c.otherUser() {
		return nil
	}
	return []string{"HOME=" + c.user.HomeDir, "USER=" + c.user.Username, "LOGNAME=" + c.user.Username, "SHELL=" + bash}
}

// makeDir makes the data directory, and those above it, if it is not there. Keys are as
// private as the directory they are in. One that exists is its owner's business.
func (c *Confinement) makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || !c.otherUser() {
		return os.MkdirAll(dir, 0o700)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return c.share(dir, 0o750)
}

// share lets the group of the commands' user into a directory of the server.
func (c *Confinement) share(dir string, mode os.FileMode) error {
	if !c.otherUser() {
		return nil
	}
	if err := os.Chown(dir, os.Geteuid(), int(c.cred.Gid)); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// give gives an empty directory to the commands' user.
func (c *Confinement) give(dir string) error {
	if !c.otherUser() {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	return os.Lchown(dir, int(c.cred.Uid), int(c.cred.Gid))
}

// openTo lets commands read a file without a name that only the server could read.
func (c *Confinement) openTo(f exec.File) error {
	if !c.otherUser() {
		return nil
	}
	return os.NewSyscallError("fchmod", unix.Fchmod(int(f.Fd()), 0o444))
}

// shareSys lets commands through DIR/_s4 to their own directories, and to nothing else.
func (c *Confinement) shareSys(sys string) error {
	if !c.otherUser() {
		return nil
	}
	list, err := os.ReadDir(sys)
	if err != nil {
		return err
	}
	for _, d := range list {
		mode := os.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		if d.Name() == jobsDir {
			err = errors.Join(err, c.share(filepath.Join(sys, d.Name()), 0o710))
		} else {
			err = errors.Join(err, os.Chmod(filepath.Join(sys, d.Name()), mode))
		}
	}
	return errors.Join(err, c.share(sys, 0o710))
}

// shareJob does so for a job's directory, which may be of a run of the server without
// another user.
func (c *Confinement) shareJob(dir string) error {
	if !c.otherUser() {
		return nil
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		path := filepath.Join(dir, d.Name())
		var cerr error
		switch {
		case d.Name() == "tasks":
			cerr = c.share(path, 0o710)
		case d.Name() == "tmp":
			cerr = c.give(path)
		case d.Name() == assetsDir: // is for commands, and read-only
		case d.IsDir():
			cerr = os.Chmod(path, 0o700)
		default:
			cerr = os.Chmod(path, 0o600)
		}
		if !errors.Is(cerr, os.ErrNotExist) { // a file that was renamed or removed
			err = errors.Join(err, cerr)
		}
	}
	return errors.Join(err, c.share(dir, 0o710))
}

// owns returns an error if a file that a command calls its output is neither its user's
// nor the server's: it may be a link to what the command could not read itself.
func (c *Confinement) owns(st *unix.Stat_t) error {
	if !c.otherUser() {
		return nil
	}
	if st.Uid != c.cred.Uid {
		return fmt.Errorf("it does not belong to the user %s, whom commands run as", c.user.Username)
	}
	return nil
}

// takeBack makes the server the owner of what a command has written.
func (c *Confinement) takeBack(f exec.File) error {
	if !c.otherUser() {
		return nil
	}
	return os.NewSyscallError("fchown", unix.Fchown(int(f.Fd()), os.Geteuid(), os.Getegid()))
}

// output makes a Temp of a file that a command has written as name in the directory open
// as dir. What the command has left running could give the name to something else, such as
// a link, if it is another user's: then the open file is linked, and its name stays, until
// all that is in the directory is removed.
func (c *Confinement) output(f *xfer.File, dir int, name string) *xfer.Temp {
	if !c.otherUser() {
		return xfer.NamedTemp(f, dir, name)
	}
	return &xfer.Temp{File: f}
}

// openOutput opens a file that a command has written in its directory.
func (n *Node) openOutput(dir tree, name string) (*xfer.File, *unix.Stat_t, error) {
	f, st, err := openRegular(dir, name)
	if err != nil {
		return nil, nil, err
	}
	if err := n.cfg.Confinement.owns(st); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

// reachScript prints, for the commands' user, the first of the directories "$@" that the
// user cannot enter, or can change, and of PATH those that can be entered. In another's
// directory with the sticky bit, the user can change nothing of the server's.
const reachScript = `for d in "$@"; do
  [[ -x $d ]] || { printf 'no\n%s' "$d" >&2; exit 0; }
  [[ ! -O $d && (! -w $d || -k $d) ]] || { printf 'writes\n%s' "$d" >&2; exit 0; }
done
IFS=:
for d in $PATH; do
  [[ -d $d && -x $d ]] && path=${path-}:$d
done
printf 'yes\n%s' "${path:1}" >&2
`

// reach returns the directories of path that the commands' user can enter: a program in
// another would be found by the server, and not run. It is an error if the user cannot
// enter the data directory dir, or can replace what the server has there.
func (c *Confinement) reach(bash, dir, path string) (string, error) {
	if !c.otherUser() || bash == "" {
		return path, nil
	}
	dirs := []string{filepath.Join(dir, sysDir, jobsDir)}
	for d := filepath.Dir(dirs[0]); d != "/"; d = filepath.Dir(d) {
		dirs = append([]string{d}, dirs...)
	}
	cmd := exec.Cmd{Bash: bash, Script: reachScript, Args: dirs, Dir: "/", Env: []string{"LC_ALL=C", "PATH=" + path}, StderrTail: 64 << 10}
	c.apply(&cmd)
	res, err := exec.Run(context.Background(), cmd)
	if err != nil {
		return "", err
	}
	verdict, rest, _ := strings.Cut(string(res.Stderr), "\n")
	switch verdict {
	case "yes":
		return rest, nil
	case "no":
		return "", wire.Errorf(wire.CodeStorage, "user %s cannot enter %s (chmod o+x it, or choose another --dir)", c.user.Username, rest)
	case "writes":
		return "", wire.Errorf(wire.CodeStorage, "user %s can write to %s, and so replace keys (chown -R root it, or choose another --dir)", c.user.Username, rest)
	}
	return "", fmt.Errorf("run bash as %s: %s: %s", c.user.Username, exec.ExitText(res), res.Stderr)
}
