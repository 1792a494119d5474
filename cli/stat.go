package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

func (a *app) stat() *cobra.Command {
	var choose chooser
	cmd := &cobra.Command{
		Use:   "stat KEY...",
		Short: "tell size, time, checksum and place of keys",
		Long: `Print what is known of keys: size in bytes, when they were written, xxh64 of their
bytes as stored (s4 cat compares it with them), the server that has them, and their
file on its disk. A key that does not exist does not stop the others, and the exit
code is 1.`,
		Example: `  s4 stat s4://bucket/in/000
  s4 stat --json 's4://bucket/in/*'`,
		Args: wantArgs(1, -1),
		RunE: a.runPrinting(func(ctx context.Context, c *s4.Client, args []string) error {
			gap := ""
			return a.eachKey(ctx, c, "stat", &choose, args, func(key string) error {
				l, err := c.Locate(ctx, key)
				if err != nil {
					return err
				}
				plain := fmt.Sprintf("%skey     %s\nsize    %d\ntime    %s\nxxh64   %016x\nserver  %s\npath    %s",
					gap, key, l.Size, stamp(l.Modified), l.XXH64, l.Server, printable(l.Path))
				gap = "\n"
				return output(a.line(plain, statObject{text(key), l.Size, l.Modified, hexSum(l.XXH64), l.Server.String(), text(l.Path)}))
			})
		}),
	}
	choose.registerGlob(cmd.Flags())
	return cmd
}

// statObject is a key as --json prints it.
type statObject struct {
	Key      text      `json:"key"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	XXH64    hexSum    `json:"xxh64"`
	Server   string    `json:"server"`
	Path     text      `json:"path"`
}

// hexSum is a checksum in --json: 16 hexadecimal digits, as xxhsum prints it.
type hexSum uint64

// MarshalText is what encoding/json calls.
func (h hexSum) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }
