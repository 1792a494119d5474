package node_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/wire"
)

// A hostile server that lists unrequested names can neither make the client write
// outside of its directory nor crash it.
func TestHostileListing(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		inChild(t) // a panic of the client's goroutines would end all tests
		return
	}
	for _, name := range []string{"b/../../escaped", "b/x/../../../escaped", "b/./k", "b/a//k", "x", "b", "", "/etc/k", "other/k", "b/a\x00b"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			client, _ := fakeServer(t, func(conn net.Conn) {
				pre := make([]byte, wire.PreambleSize)
				if _, err := io.ReadFull(conn, pre); err != nil {
					return
				}
				_, _ = conn.Write(pre)
				for {
					head := make([]byte, wire.HeaderSize)
					if _, err := io.ReadFull(conn, head); err != nil {
						return
					}
					h, err := wire.DecodeHeader(head)
					if err != nil {
						return
					}
					if _, err := io.CopyN(io.Discard, conn, int64(h.Len)); err != nil {
						return
					}
					var out []byte
					switch h.Type {
					case wire.TypeList:
						out = wire.AppendFrame(out, h.Tag, 0, &wire.Entries{List: []wire.Entry{{Kind: wire.EntryKey, Size: 0, Name: name}}})
						out = wire.AppendFrame(out, h.Tag, 0, &wire.End{Count: 1})
					case wire.TypeGet:
						out = wire.AppendFrame(out, h.Tag, wire.FlagStream, &wire.Object{Sum: 0xef46db3751d8e999})
						out = wire.AppendFrame(out, h.Tag, 0, &wire.Trailer{Sum: 0xef46db3751d8e999})
					}
					if _, err := conn.Write(out); err != nil {
						return
					}
				}
			})
			dir := t.TempDir()
			dst := filepath.Join(dir, "a", "b")
			if err := os.MkdirAll(dst, 0o755); err != nil {
				t.Fatal(err)
			}
			failed := false
			err := client.GetTree(guarded(t), "s4://b", dst, func(tr s4.Transfer) { failed = failed || tr.Err != nil })
			if err == nil && !failed {
				t.Error("accepted")
			}
			if files := localFiles(t, dir); len(files) > 0 {
				t.Errorf("wrote %q", files)
			}
		})
	}
}
