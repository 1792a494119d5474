package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// loopback measures what loopback carries at most, by iperf3, as information for
// rows that move much: nothing hashes, and nothing is kept.
func (e *Env) loopback(ctx context.Context) (_ float64, err error) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return 0, &NotHere{Why: "there is no iperf3"}
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	d, err := e.startDaemon("iperf3 -s", []string{"iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port}, syscall.SIGKILL, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	for {
		_, out, err := e.run(ctx, Command{Args: []string{"iperf3", "-c", "127.0.0.1", "-t", "2", "-J", "-p", port}})
		if err == nil {
			return iperfRate(out)
		}
		if ctx.Err() != nil {
			return 0, err
		}
		if d.alive() != nil { // its one client was refused
			return 0, &NotHere{Why: fmt.Sprintf("iperf3 failed: %v", err)}
		}
		time.Sleep(20 * time.Millisecond) // it does not listen yet
	}
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
