package node_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// serverEnv makes the test binary be one server, to be killed.
const serverEnv = "S4_NODE_TEST_SERVER"

func TestMain(m *testing.M) {
	if index := os.Getenv(serverEnv); index != "" {
		os.Exit(serverMain(index))
	}
	os.Exit(nodetest.Main(m))
}

// serverMain serves until SIGTERM. It dies with the tests.
func serverMain(index string) int {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return 3
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := func() error {
		cluster, err := s4.LoadCluster(os.Getenv("S4_CONF_PATH"))
		if err != nil {
			return err
		}
		i, err := strconv.Atoi(index)
		if err != nil {
			return err
		}
		n, err := node.New(node.Config{Cluster: cluster, Index: i, Dir: os.Getenv("S4_TEST_DIR"), MaxCPUJobs: 4, IOTimeout: 10 * time.Second, Version: "test"})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", cluster.Servers[i].String())
		if err != nil {
			return err
		}
		served := make(chan error, 1)
		go func() { served <- n.Serve(ln) }()
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		n.Shutdown(late)
		return <-served
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		return 1
	}
	return 0
}
