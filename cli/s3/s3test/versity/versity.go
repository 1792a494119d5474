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

	"golang.org/x/sys/unix"
)

const (
	module  = "github.com/versity/versitygw"
	version = "v1.8.0"
)

// Path returns the path of versitygw: that on PATH, else that of the user's cache
// directory. The error says how to get it.
func Path() (string, error) {
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path, nil
	}
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("there is no versitygw (go install %s/cmd/versitygw@%s)", module, version)
	}
	return path, nil
}

func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "s4-test", "versitygw@"+version), err
}

// Find returns the same, and builds the program in the cache directory if it is not
// there, which takes a minute or more. Several processes may ask at once.
func Find(ctx context.Context) (string, error) {
	if path, err := Path(); err == nil {
		return path, nil
	}
	dir, err := cacheDir()
	if err != nil {
		return "", err
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
	if path, err := Path(); err == nil {
		return path, nil // another process has built it
	}
	if err := build(ctx, dir); err != nil {
		return "", err
	}
	return Path()
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}

// build builds the program into a directory. go install replaces it in one step. Without
// debug information, and with fewer collections in the compiler, it takes four fifths of
// the CPU time.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "install", "-ldflags=-s -w", "-gcflags=github.com/...=-dwarf=false", module+"/cmd/versitygw@"+version)
	cmd.Dir = dir // of no module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOGC=400", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go install %s: %w\n%s", module, err, out)
	}
	return nil
}

// Command returns the words that run the program at path as the server of a directory,
// at an address of this host, and what to add to the environment. It answers 200 at
// HealthPath when it is ready. On SIGTERM it waits for connections that clients keep.
func Command(path, dir, addr, accessKey, secretKey string) (args, env []string) {
	return []string{path, "--port", addr, "--health", HealthPath, "--keep-alive", "--quiet", "posix", dir},
		[]string{"ROOT_ACCESS_KEY_ID=" + accessKey, "ROOT_SECRET_ACCESS_KEY=" + secretKey}
}

// HealthPath is where a server says that it is ready.
const HealthPath = "/_health"
