package scripts_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nathants/s4/node/nodetest"
)

// slurm.sh makes a cluster of the nodes of a job, runs a command on it, and leaves
// nothing. Three addresses of loopback are the nodes here, and two scripts are Slurm.
func TestSlurm(t *testing.T) {
	t.Parallel()
	work, stubs := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("#!/usr/bin/env bash\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(stubs, "scontrol"), `[ "$*" = "show hostnames nodes[1-3]" ] && printf '127.0.0.%d\n' 1 2 3`)
	// srun passes a SIGTERM on to the process group of each task.
	write(filepath.Join(stubs, "srun"), `[ "$1" = --overlap ] && shift
set -m
for i in 1 2 3; do TMPDIR=$NODES/$i SLURMD_NODENAME=127.0.0.$i "$@" & pids="${pids-} -$!"; done
trap 'kill -TERM -- $pids' TERM
while [ -n "$(jobs -r)" ]; do wait || true; done`)
	if strings.Contains(run(t, nil, filepath.Join(bin, "s4"), "--help").out, "\n  secret ") {
		if err := os.Symlink(bin, filepath.Join(work, "bin")); err != nil {
			t.Fatal(err)
		}
	} else { // no s4 secret yet
		if err := os.Mkdir(filepath.Join(work, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(work, "bin", "s4"), `[ "$1" != secret ] || exec touch "$2"; exec `+filepath.Join(bin, "s4")+` "$@"`)
		write(filepath.Join(work, "bin", "s4-server"), `exec `+filepath.Join(bin, "s4-server")+` "$@"`)
	}
	nodes := t.TempDir()
	for _, name := range []string{"1", "2", "3"} {
		if err := os.Mkdir(filepath.Join(nodes, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + stubs + ":" + os.Getenv("PATH"), "SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=nodes[1-3]",
		"NODES=" + nodes, "S4_PORT=" + strconv.Itoa(nodetest.FreePort())}
	r := run(t, env, "bash", "-c", `cd "$0" && "$@"`, work, script("slurm.sh"), "bash", "-c",
		`seq 9 | s4 cp - s4://b/in/000 && s4 health | cut -d: -f1 && s4 map s4://b/in/ s4://b/out/ 'tail -n 1' && s4 cp s4://b/out/000 -; exit 5`)
	r.want(t, 5, "healthy 127.0.0.1\nhealthy 127.0.0.2\nhealthy 127.0.0.3\n9\n")
	for _, dir := range []string{nodes + "/*", work} {
		left, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			if !strings.HasSuffix(path, "/bin") {
				t.Errorf("%s is left", path)
			}
		}
	}
}
