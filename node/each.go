package node

import "sync"

// askAtOnce is how many servers one of them asks at once. When the client of a job is
// lost, all servers ask all others: without a limit, 200 in one process would want 40,000
// connections in the same moment.
const askAtOnce = 16

// eachServer calls f with the index of every server, for up to askAtOnce at once, and waits
// for all.
func (n *Node) eachServer(f func(server int)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, askAtOnce)
	for i := range n.cfg.Cluster.Servers {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	wg.Wait()
}

// eachPeer is eachServer without this one.
func (n *Node) eachPeer(f func(peer int)) {
	n.eachServer(func(i int) {
		if i != n.cfg.Index {
			f(i)
		}
	})
}
