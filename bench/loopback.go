package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

// loopback measures what loopback carries at most, by iperf3, as information for
// rows that move much: nothing hashes, and nothing is kept.
func (e *Env) loopback(ctx context.Context) (float64, error) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return 0, &NotHere{Why: "there is no iperf3"}
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	// The client is tried until the server, which ends after one, listens.
	_, out, err := e.run(ctx, Script(`iperf3 -s -1 -B 127.0.0.1 -p "$1" >&2 &
		until said=$(iperf3 -c 127.0.0.1 -t 2 -J -p "$1"); do
			sleep 0.02
			kill -0 $! # it still waits
		done
		echo "$said"`, port))
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, &NotHere{Why: fmt.Sprintf("iperf3 failed: %v", err)}
	}
	return iperfRate(out)
}

// iperfRate returns the bytes per second of what iperf3 -J printed.
func iperfRate(text []byte) (float64, error) {
	var r struct {
		End struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return 0, fmt.Errorf("iperf3: %w", err)
	}
	return r.End.Received.Rate / 8, nil
}
