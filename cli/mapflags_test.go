package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
)

func TestTimeoutFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30": 30 * time.Second, "0": 0, "1.5": 1500 * time.Millisecond, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "200ms": 200 * time.Millisecond,
		"": -1, "s": -1, "-1": -1, "-1s": -1, "soon": -1, "9999999999": -1, "1 s": -1,
	} {
		var d timeoutFlag
		err := d.Set(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || time.Duration(d) != want) {
			t.Errorf("%q: %v, %v; want %v", text, time.Duration(d), err, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	var c exitCodes
	for _, text := range []string{"0,1", "3,1", "255"} {
		if err := c.Set(text); err != nil {
			t.Error(err)
		}
	}
	if got := c.String(); got != "1,3,255" {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{"", "1,", "256", "-1", "one", "1 2"} {
		if err := c.Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestInterpreter(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"tr a b\n":                        "",
		"# comment":                       "",
		"#!":                              "",
		"#!\n#!/bin/x":                    "",
		"#!/bin/bash":                     "bash",
		"#!/bin/bash -eu\nx":              "bash",
		"#! /bin/sh\n":                    "sh",
		"#!/usr/bin/env bash\n":           "bash",
		"#!/usr/bin/env -S bash -e\n":     "bash",
		"#!/usr/bin/env -S A=/b/c perl\n": "perl",
		"#!/usr/bin/env python3\r\n":      "python3",
		"#!/usr/bin/env\n":                "env",
		"#!/usr/bin/awk -f\n{ print }\n":  "awk",
		"#!awk":                           "awk",
	} {
		if got := interpreter(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestJoblogLine(t *testing.T) {
	line := joblogLine(s4.JobTask{
		Key: "s4://b/in/000", Server: servers[0], State: s4.TaskFailed, Attempt: 2,
		Start: time.Unix(1795363200, 7_654_321), Wall: 1500 * time.Millisecond, User: 1234567, Sys: 61 * time.Second,
		MaxRSS: 1 << 20, BytesIn: 12, BytesOut: 34, Exit: -1, Signal: 9, Runner: "exec",
	})
	const want = "s4://b/in/000\t10.0.0.1:4000\t1795363200.007\t1.500\t0.001\t61.000\t1048576\t12\t34\t-1\t9\t2\texec\n"
	if line != want {
		t.Errorf("%q, want %q", line, want)
	}
	if got, want := strings.Count(line, "\t"), strings.Count(joblogHeader, "\t"); got != want {
		t.Errorf("%d tabs, the header has %d", got, want)
	}
}
