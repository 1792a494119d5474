package s3test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nathants/s4/cli/s3/s3test/versity"
)

// startPatience is how long versitygw may take to answer: a guard against hanging.
const startPatience = 30 * time.Second

// startTries is how often versitygw is started anew when it ends at once: another
// program may take its port between its being found and its being used.
const startTries = 3

// startVersity starts versitygw, whose files are in a directory of the test.
func (s *Server) startVersity(tb testing.TB) {
	tb.Helper()
	path, err := versity.Find(tb.Context())
	if err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("s3test: versitygw: %v", err)
		}
		tb.Skipf("no versitygw: %v", err)
	}
	s.Dir = filepath.Join(tb.TempDir(), "objects")
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	for range startTries {
		if s.runVersity(tb, path) {
			return
		}
	}
	tb.Fatalf("s3test: versitygw has ended %d times", startTries)
}

// runVersity starts the process, and reports whether it is ready.
func (s *Server) runVersity(tb testing.TB, path string) bool {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	args, env := versity.Command(path, s.Dir, addr, s.AccessKey, s.SecretKey)
	cmd := exec.Command(args[0], args[1:]...)
	var output strings.Builder // read when the process has been waited for
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is killed
	done, started := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread() // whose end is what Pdeathsig is sent for (prctl(2))
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is nobody's question once it was stopped
		}
	}()
	if err := <-started; err != nil {
		tb.Fatal(err)
	}
	stop := func() {
		// It would wait for connections that clients keep, and nobody needs its files.
		_ = cmd.Process.Kill() // it may have ended
		<-done
	}
	s.Endpoint = "http://" + addr
	switch err := s.await(done); {
	case err == nil:
		tb.Cleanup(stop)
		return true
	case errors.Is(err, errEnded):
		tb.Logf("versitygw has ended: %s", &output)
	default:
		stop()
		tb.Fatalf("s3test: versitygw: %v: %s", err, &output)
	}
	return false
}

var errEnded = errors.New("the server has ended")

// await waits until the server answers, or until done says that it has ended.
func (s *Server) await(done <-chan struct{}) error {
	for end := time.Now().Add(startPatience); ; {
		resp, err := http.Get(s.Endpoint + versity.HealthPath)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		if time.Now().After(end) {
			return err
		}
		select {
		case <-done:
			return errEnded
		case <-time.After(5 * time.Millisecond):
		}
	}
}
