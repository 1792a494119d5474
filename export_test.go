package s4

import "context"

// Prunes reports whether a walk leaves a directory out.
func (f *Filter) Prunes(dir string) bool { return f.prunes(dir) }

// IdleConns returns how many data connections c keeps for reuse.
func IdleConns(c *Client) int { return c.data.Len() }

// IdleControlConns returns how many control connections c keeps for reuse.
func IdleControlConns(c *Client) int { return c.control.Len() }

// Moving is Move with run in place of the copy.
func (c *Client) Moving(ctx context.Context, dst string, opts *CopyOptions, run func(*CopyOptions) error) error {
	return c.moving(ctx, dst, opts, run)
}
