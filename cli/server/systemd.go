package server

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/nathants/s4/node"
)

// manager tells systemd, if that has started the server, how it is: sd_notify(3).
type manager struct {
	log    *zap.Logger
	cancel context.CancelFunc
	wg     sync.WaitGroup // the watchdog's
}

// ready says that nodes are served. stopping must be called.
func ready(nodes []*node.Node, log *zap.Logger) *manager {
	ctx, cancel := context.WithCancel(context.Background())
	m := &manager{log: log, cancel: cancel}
	m.tell(daemon.SdNotifyReady)
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog", zap.Error(err))
	}
	if limit > 0 {
		m.wg.Go(func() { m.watch(ctx, limit/2, nodes) }) // half: sd_watchdog_enabled(3)
	}
	return m
}

// watch says regularly that the nodes are alive: they tell their numbers, for which no
// lock may be stuck. A disk that is full is no reason to be killed.
func (m *manager) watch(ctx context.Context, every time.Duration, nodes []*node.Node) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for _, n := range nodes {
			n.Status()
		}
		m.tell(daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stopping says that the server is about to end.
func (m *manager) stopping() {
	m.cancel()
	m.wg.Wait()
	m.tell(daemon.SdNotifyStopping)
}

func (m *manager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("tell systemd", zap.String("state", state), zap.Error(err))
	}
}
