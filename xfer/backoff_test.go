package xfer_test

import (
	"context"
	"testing"
	"time"

	"github.com/nathants/s4/xfer"
)

func TestBackoff(t *testing.T) {
	if xfer.NewBackoff(0).Wait(t.Context()) {
		t.Error("there is another try after the limit")
	}
	b := xfer.NewBackoff(time.Millisecond)
	if !b.Wait(t.Context()) {
		t.Error("there is no try at the limit")
	}
	if b.Wait(t.Context()) {
		t.Error("there is another try after that")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if xfer.NewBackoff(time.Hour).Wait(ctx) {
		t.Error("there is another try though nobody wants it")
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	b = xfer.NewBackoff(time.Hour)
	tries := 0
	for b.Wait(ctx) {
		if tries++; tries == 2 {
			time.AfterFunc(time.Millisecond, cancel)
		}
	}
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
}
