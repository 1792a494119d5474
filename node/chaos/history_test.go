package chaos

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// opKind is what was done to a key.
type opKind string

const (
	opPut   opKind = "put"
	opGet   opKind = "get"
	opSee   opKind = "see" // in a list, or with stat
	opRm    opKind = "rm"
	opClear opKind = "clear" // rm -r of its directory
)

// outcome is what came of it.
type outcome string

const (
	outOK      outcome = "ok"
	outExists  outcome = "exists"
	outAbsent  outcome = "absent"
	outFailed  outcome = "failed"  // and had no effect
	outUnknown outcome = "unknown" // it may have an effect later, or never
)

// op is one operation on one key. A value is a number from 1, see value; 0 is none.
type op struct {
	Client  int     `json:"client"`
	Kind    opKind  `json:"op"`
	Key     string  `json:"key"`
	Value   uint64  `json:"value,omitempty"`
	Size    int64   `json:"size,omitempty"` // of what was seen
	Outcome outcome `json:"outcome"`
	Call    int64   `json:"call"`   // ns
	Return  int64   `json:"return"` // ns
	Why     string  `json:"why,omitempty"`
}

// history is what was done, by key.
type history struct {
	sizeOf func(value uint64) int64
	mu     sync.Mutex
	keys   map[string][]op
}

// add adds an operation, and returns how many its key has, and how many of unknown
// outcome.
func (h *history) add(o op) (all, unknown int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[o.Key] = append(h.keys[o.Key], o)
	for _, o := range h.keys[o.Key] {
		if o.Outcome == outUnknown && o.Kind != opGet && o.Kind != opSee {
			unknown++
		}
	}
	return len(h.keys[o.Key]), unknown
}

// model says what a key does: its state is its value, or 0. An operation without an
// answer is there until the end of time, and does nothing in a state where it cannot do
// what it was to do. So it may come last, which stands for never.
func (h *history) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uint64(0) },
		Step: func(state, input, _ any) (bool, any) {
			now, o := state.(uint64), input.(op)
			unknown := o.Outcome == outUnknown
			switch o.Kind {
			case opPut:
				switch {
				case now == 0 && (o.Outcome == outOK || unknown):
					return true, o.Value
				default:
					return now != 0 && (o.Outcome == outExists || unknown), now
				}
			case opGet:
				return o.Outcome == outOK && now == o.Value && now != 0 || o.Outcome == outAbsent && now == 0, now
			case opSee:
				return o.Outcome == outOK && now != 0 && h.sizeOf(now) == o.Size || o.Outcome == outAbsent && now == 0, now
			case opRm:
				return unknown || (o.Outcome == outOK) == (now != 0), uint64(0)
			case opClear:
				return true, uint64(0)
			}
			return false, now
		},
		DescribeOperation: func(input, _ any) string {
			o := input.(op)
			return fmt.Sprintf("%s %d: %s", o.Kind, o.Value, o.Outcome)
		},
	}
}

// checkLimit is how long the search for an order may take for one key. If it takes
// longer, nothing is known.
const checkLimit = 20 * time.Second

// check returns whether the operations on a key can be explained, and writes a picture
// of them to the file at path if not.
func (h *history) check(key, path string) porcupine.CheckResult {
	var list []porcupine.Operation
	for _, o := range h.keys[key] {
		switch {
		case o.Outcome == outFailed:
			continue
		case o.Outcome == outUnknown && (o.Kind == opGet || o.Kind == opSee):
			continue
		case o.Outcome == outUnknown:
			o.Return = math.MaxInt64
		}
		list = append(list, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return})
	}
	res, info := porcupine.CheckOperationsVerbose(h.model(), list, checkLimit)
	if res == porcupine.Illegal && path != "" {
		_ = porcupine.VisualizePath(h.model(), info, path) // the history is kept anyway
	}
	return res
}

// write writes the history to a file, an operation a line.
func (h *history) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	for _, ops := range h.keys {
		for _, o := range ops {
			if err := enc.Encode(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// pictureOf is where check draws a key.
func (r *run) pictureOf(key string) string {
	return filepath.Join(r.dir, "history-"+strings.ReplaceAll(strings.TrimPrefix(key, keysDir), "/", "-")+".html")
}

// The check accepts what may happen and refuses what may not.
func TestHistory(t *testing.T) {
	put := func(v uint64, out outcome, from, to int64) op {
		return op{Kind: opPut, Value: v, Outcome: out, Call: from, Return: to}
	}
	get := func(v uint64, from, to int64) op {
		o := op{Kind: opGet, Value: v, Outcome: outOK, Call: from, Return: to}
		if v == 0 {
			o.Outcome = outAbsent
		}
		return o
	}
	rm := func(out outcome, from, to int64) op { return op{Kind: opRm, Outcome: out, Call: from, Return: to} }
	see := func(size, from, to int64) op {
		return op{Kind: opSee, Size: size, Outcome: outOK, Call: from, Return: to}
	}
	for _, tt := range []struct {
		name string
		ops  []op
		want porcupine.CheckResult
	}{
		{"a life", []op{get(0, 0, 1), put(1, outOK, 2, 3), get(1, 4, 5), see(10, 4, 6), rm(outOK, 7, 8), get(0, 9, 10)}, porcupine.Ok},
		{"a put is lost", []op{put(1, outOK, 0, 1), get(0, 2, 3)}, porcupine.Illegal},
		{"a put is seen before its answer", []op{put(1, outOK, 0, 5), get(1, 2, 3)}, porcupine.Ok},
		{"another value", []op{put(1, outOK, 0, 1), get(2, 2, 3)}, porcupine.Illegal},
		{"two puts win", []op{put(1, outOK, 0, 1), put(2, outOK, 0, 1)}, porcupine.Illegal},
		{"one of two puts wins", []op{put(1, outOK, 0, 1), put(2, outExists, 0, 1)}, porcupine.Ok},
		{"it exists, and nobody put it", []op{put(2, outExists, 0, 1)}, porcupine.Illegal},
		{"a failed put is seen", []op{put(1, outFailed, 0, 1), get(1, 2, 3)}, porcupine.Illegal},
		{"an unknown put comes late", []op{put(1, outUnknown, 0, 1), get(0, 2, 3), get(1, 4, 5)}, porcupine.Ok},
		{"an unknown put never comes", []op{put(1, outUnknown, 0, 1), get(0, 2, 3), put(2, outOK, 4, 5), get(2, 6, 7)}, porcupine.Ok},
		{"an unknown put comes twice", []op{put(1, outUnknown, 0, 1), get(1, 2, 3), rm(outOK, 4, 5), get(1, 6, 7)}, porcupine.Illegal},
		{"a removed key is back", []op{put(1, outOK, 0, 1), rm(outOK, 2, 3), get(1, 4, 5)}, porcupine.Illegal},
		{"two remove one key", []op{put(1, outOK, 0, 1), rm(outOK, 2, 3), rm(outOK, 2, 3)}, porcupine.Illegal},
		{"an unknown remove comes late", []op{put(1, outOK, 0, 1), rm(outUnknown, 2, 3), get(1, 4, 5), get(0, 6, 7)}, porcupine.Ok},
		{"a list shows half a key", []op{put(1, outOK, 0, 1), see(5, 2, 3)}, porcupine.Illegal},
		{"a removed directory keeps a key", []op{put(1, outOK, 0, 1), {Kind: opClear, Outcome: outOK, Call: 2, Return: 3}, get(1, 4, 5)}, porcupine.Illegal},
	} {
		h := &history{sizeOf: func(uint64) int64 { return 10 }, keys: map[string][]op{"k": tt.ops}}
		if got := h.check("k", ""); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
