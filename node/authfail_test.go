package node

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
)

// However many fail, there is one line a second, and every failure is in some line.
func TestAuthFailuresLogged(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	a := newAuthFailures(zap.New(core))
	start := time.Now()
	for i := range 1000 { // in 5 seconds, the last not included
		a.add(start.Add(time.Duration(i)*5*time.Millisecond), "10.0.0.7:1234", wire.Errorf(wire.CodeUnauthenticated, "no"))
	}
	a.flush()
	a.flush()
	var more int64
	lines := logs.All()
	for i, l := range lines {
		f := l.ContextMap()
		more += f["more"].(int64)
		if (f["peer"] == "10.0.0.7:1234") != (i < 5) || l.Level != zapcore.WarnLevel {
			t.Errorf("line %d: %v", i, l)
		}
	}
	if len(lines) != 6 || more != 995 {
		t.Errorf("%d lines, which count %d more", len(lines), more)
	}
}

// Only so many wait, and none longer than the server runs.
func TestAuthFailuresSlow(t *testing.T) {
	a := newAuthFailures(zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range maxAuthDelayed {
		a.delayed <- struct{}{} // as one that waits
	}
	a.slow(ctx) // at once, or it would wait for ever: nobody leaves
	for range maxAuthDelayed {
		<-a.delayed
		wg.Go(func() { a.slow(ctx) })
	}
	cancel()
	wg.Wait()
	if len(a.delayed) != 0 {
		t.Errorf("%d wait still", len(a.delayed))
	}
}

// The environment of tasks names the secret's file, and never what is in it.
func TestSecretInEnvironment(t *testing.T) {
	t.Setenv("S4_SECRET_FILE", "/of/the/process")
	for file, want := range map[string]string{"": "", "/a/b": "/a/b"} {
		last := ""
		for _, kv := range baseEnv(Config{Cluster: &s4.Cluster{}, SecretFile: file}, "") {
			if v, ok := strings.CutPrefix(kv, "S4_SECRET_FILE="); ok {
				last = v
			}
		}
		if last != want {
			t.Errorf("%q: %q", file, last)
		}
	}
}
