// Package s4 is the Go client of an s4 cluster: immutable keys on a ring of
// servers, listed and removed by prefix, and shell commands run where the
// keys lie.
//
//	client, err := s4.Open("")            // the cluster file of the environment
//	err = client.Put(ctx, "s4://b/k", r, -1)
//	_, err = client.Get(ctx, "s4://b/k", w)
//	_, err = client.Map(ctx, "s4://b/in/", "s4://b/out/", "sort | uniq -c", nil)
//
// One function decides where a key lives (Cluster.Place), and the client dials
// the owner directly: no bytes of a key pass through a third. A job has a
// Coordinator, which is the client, or for a detached job a server.
//
//	Client.Put/Get ── place ── data connection ── server that owns the key
//	Client.List    ── control connection ── every server, merged in order
//	Client.Map…    ── control connection ── every server; prepare, then commit
//
// The functions of compat.go are those of the original s4 package, for programs
// that were written for it. For servers are Cluster.Place, Fingerprint and Dialer,
// and Submit and the Coordinator, which a server drives detached jobs with.
//
// The package knows nothing of files on servers or of processes.
package s4

import "github.com/nathants/s4/names"

// Scheme starts every key and prefix as people write them.
const Scheme = names.Scheme

// Release is the version of this source: of the client, the programs and the
// server's answer to HEALTH. The protocol has its own, wire.Version.
const Release = "0.1.0"
