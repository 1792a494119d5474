package server

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logFlush is how long a line may wait in memory. Lines are buffered to save a write(2)
// for every small key.
const logFlush = 200 * time.Millisecond

// newLog returns a logger to w. stop flushes it and ends its goroutine.
func newLog(w io.Writer, format, level string) (log *zap.Logger, stop func(), err error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, nil, fmt.Errorf("--log-level %s: debug, info, warn or error", level)
	}
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.RFC3339TimeEncoder
	ec.EncodeDuration = zapcore.StringDurationEncoder
	var enc zapcore.Encoder
	switch format {
	case "json":
		enc = zapcore.NewJSONEncoder(ec)
	case "console":
		enc = zapcore.NewConsoleEncoder(ec)
	default:
		return nil, nil, fmt.Errorf("--log-format %s: console or json", format)
	}
	// Hide the Sync method of an *os.File: the logger would call fsync(2) each time.
	plain := struct{ io.Writer }{w}
	out := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(plain), FlushInterval: logFlush}
	return zap.New(zapcore.NewCore(enc, out, lvl)), func() { _ = out.Stop() }, nil // if stderr fails there is nowhere to say it
}
