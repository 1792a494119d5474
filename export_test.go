package s4

// IdleConns returns how many data connections c keeps for reuse.
func IdleConns(c *Client) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, idle := range c.data {
		n += len(idle)
	}
	return n
}
