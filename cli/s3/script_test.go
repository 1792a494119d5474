package s3

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/s3/s3test"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// TestMain makes the test binary be s4 and s4-s3, too.
func TestMain(m *testing.M) {
	testscript.Main(leakCheck{m}, map[string]func(){
		"s4": func() {
			os.Exit(cli.Main(signals(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
		"s4-s3": func() {
			os.Exit(Main(signals(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// leakCheck fails the run if a test leaves a process or a goroutine behind.
type leakCheck struct{ m *testing.M }

func (l leakCheck) Run() int {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else every program sleeps a second with -race
	return nodetest.Main(l.m)
}

func signals() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

// TestScript runs the scripts in testdata/script. Each has, besides the commands of
// testscript and of script commands below:
//
//	s4, s4-s3        the programs
//	$S4_CONF_PATH    of a cluster of three servers of its own, in the test's process
//	$AWS_…           of an S3 server, gofakes3, or versitygw for a script that is called so,
//	                 for the servers, too. A proxy before it does what strike says
//	$BUCKET          a bucket of its own
func TestScript(t *testing.T) {
	for _, kind := range []s3test.Kind{s3test.Fake, s3test.Versity} {
		t.Run(string(kind), func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join("testdata", string(kind), "*.txtar"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no scripts, %v", err)
			}
			server := s3test.Start(t, kind)
			setEnv(t, server.Env())
			testscript.Run(t, testscript.Params{
				Files:              files,
				RequireUniqueNames: true,
				Setup: func(env *testscript.Env) error {
					proxy := s3test.NewProxy(t, server.Endpoint)
					return setupScript(t, env, server, proxy)
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"object":  putOrPrint,
					"strike":  strike,
					"struck":  struck,
					"uploads": uploads,
				},
			})
		})
	}
}

func setEnv(t *testing.T, env []string) {
	t.Helper()
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

// scriptKey is under what a script finds its servers.
type scriptKey struct{}

type scriptServers struct {
	t      *testing.T
	server *s3test.Server
	proxy  *s3test.Proxy
	bucket string
}

func setupScript(t *testing.T, env *testscript.Env, server *s3test.Server, proxy *s3test.Proxy) error {
	l, err := node.StartLocal(filepath.Join(env.WorkDir, "cluster"), 3, 0, node.Config{})
	if err != nil {
		return err
	}
	env.Defer(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = l.Shutdown(ctx) // what is under way is cut off
	})
	bucket := "bkt-" + strings.ReplaceAll(filepath.Base(env.WorkDir), "_", "-")
	server.MakeBucket(t, bucket)
	for _, kv := range server.Env() {
		name, value, _ := strings.Cut(kv, "=")
		env.Setenv(name, value)
	}
	env.Setenv("AWS_ENDPOINT_URL", proxy.URL)
	env.Setenv("BUCKET", bucket)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("S4_CONF_PATH", l.Cluster.Path)
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Values[scriptKey{}] = &scriptServers{t, server, proxy, bucket}
	return nil
}

func of(ts *testscript.TestScript) *scriptServers {
	return ts.Value(scriptKey{}).(*scriptServers)
}

// object KEY FILE uploads a file. object KEY prints an object.
func putOrPrint(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	switch {
	case neg || len(args) < 1 || len(args) > 2:
		ts.Fatalf("usage: object KEY [FILE]")
	case len(args) == 2:
		s.server.Put(s.t, s.bucket, args[0], []byte(ts.ReadFile(args[1])))
	default:
		content, _ := s.server.Get(s.t, s.bucket, args[0])
		_, err := ts.Stdout().Write(content)
		ts.Check(err)
	}
}

// strike FAULT OP TIMES has requests fail.
func strike(ts *testscript.TestScript, neg bool, args []string) {
	faults := map[string]s3test.Fault{
		"slow-down": s3test.SlowDown(), "expired": s3test.ExpiredToken(), "flip": s3test.FlipResponse(1), "denied": s3test.AccessDenied(),
		"reset": s3test.CutResponse(1), "stall": s3test.StallResponse(1),
	}
	if len(args) == 1 && args[0] == "nothing" {
		of(ts).proxy.Set()
		return
	}
	fault, ok := faults[args[0]]
	if neg || len(args) != 3 || !ok {
		ts.Fatalf("usage: strike FAULT OP TIMES")
	}
	rule := s3test.Rule{Ops: []s3test.Op{s3test.Op(args[1])}, Fault: fault}
	_, err := fmt.Sscan(args[2], &rule.Times)
	ts.Check(err)
	of(ts).proxy.Forget()
	of(ts).proxy.Set(rule)
}

// struck fails unless a fault has happened.
func struck(ts *testscript.TestScript, neg bool, _ []string) {
	if (of(ts).proxy.Struck() > 0) == neg {
		ts.Check(errors.New("no request was struck"))
	}
}

// uploads fails unless there are uploads that are neither complete nor aborted.
func uploads(ts *testscript.TestScript, neg bool, _ []string) {
	s := of(ts)
	if left := s.server.Uploads(s.t, s.bucket); (len(left) > 0) == neg {
		ts.Fatalf("uploads: %v", left)
	}
}
