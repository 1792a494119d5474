package node

import (
	"context"
	"slices"
	"sync"

	"github.com/nathants/s4/wire"
)

// The secret variables of a job are in the memory of servers, and in the environment of
// its tasks, and nowhere else.

// keepSecrets keeps what a client has sent for the tasks to come. If it cannot be used, the
// job fails.
func (j *job) keepSecrets(js *jobSession, m *wire.Secrets) {
	err := outOfTurn(wire.TypeSecrets)
	var vars []string
	if j.has(wire.JobSecrets) && !j.running.Load() {
		var text string
		if text, err = j.node.cfg.Secret.Unseal(j.id, m); err == nil {
			vars, err = wire.Variables(text)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.link.client != js: // it has lost the job meanwhile
	case err != nil:
		j.moveLocked(jobFailed, err)
	default:
		j.sealed, j.secrets = m, vars
	}
}

// takeSecrets returns the variables for the job's tasks. It is an error if there are to be
// some, and no client has sent them.
func (j *job) takeSecrets() ([]string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.has(wire.JobSecrets) && j.sealed == nil {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "this server was started again, and has lost the job's secret variables, which are kept in memory only (resume or run the job with them again)")
	}
	return slices.Clip(j.secrets), nil
}

// secretsOf returns what a client has sent for a job that is not over, or nil.
func (n *Node) secretsOf(id uint64) *wire.Secrets {
	j := n.job(id)
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sealed
}

// findSecrets returns the secrets of a job that this server takes over, or nil: its own, or
// if it was started again, those of a server that was not.
func (n *Node) findSecrets(j *job) *wire.Secrets {
	found := n.secretsOf(j.id)
	if found != nil || !j.has(wire.JobSecrets) {
		return found
	}
	var mu sync.Mutex // guards found
	n.eachPeer(func(peer int) {
		ctx, cancel := context.WithTimeout(n.ctx, settleAsk)
		defer cancel()
		if m, err := n.client.JobSecrets(ctx, peer, j.id); err == nil {
			mu.Lock()
			defer mu.Unlock()
			found = m
		}
	})
	return found
}
