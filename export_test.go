package s4

// IdleConns returns how many data connections c keeps for reuse.
func IdleConns(c *Client) int { return c.data.Len() }

// IdleControlConns returns how many control connections c keeps for reuse.
func IdleControlConns(c *Client) int { return c.control.Len() }
