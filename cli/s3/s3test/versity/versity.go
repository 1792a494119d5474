// Package versity gets and runs versitygw, an S3 server whose posix backend keeps
// objects as files in a directory. It is built in a cache of its own: its modules are
// several hundred packages, which s4's go.mod must not know. It is for tests and for
// bench.
package versity

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	module  = "github.com/versity/versitygw"
	version = "v1.8.0"
)

// Find returns the path of versitygw: that on PATH, else that of the user's cache
// directory, where it is built if it is not there, which takes a minute or more. Several
// processes may ask at once.
func Find(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "s4-test", "versitygw@"+version)
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks it
	if err := flock(lock); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil // another process has built it
	}
	return path, build(ctx, dir)
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}

// build builds the program into a directory. go install replaces it in one step.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "install", "-ldflags=-s -w", module+"/cmd/versitygw@"+version)
	cmd.Dir = dir // of no module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w: %s", module, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Command returns the words and the environment that run the program at path as the
// server of a directory, at an address of this host. It answers 200 at HealthPath when
// it is ready, and ends on SIGTERM. The user's own settings have no effect.
func Command(path, dir, addr, accessKey, secretKey string) (args, env []string) {
	args = []string{path, "--port", addr, "--health", HealthPath, "--keep-alive", "--quiet", "posix", dir}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "VGW_") {
			env = append(env, v)
		}
	}
	return args, append(env, "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
}

// HealthPath is where a server says that it is ready.
const HealthPath = "/_health"
