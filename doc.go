// Package s4 is the Go client of an s4 cluster. A cluster keeps immutable keys on a
// list of servers. Keys are listed and removed by prefix, and shell commands run on the
// servers that have them.
//
//	client, err := s4.Open("")            // the cluster file of the environment
//	err = client.Put(ctx, "s4://b/k", r, -1)
//	_, err = client.Get(ctx, "s4://b/k", w)
//	_, err = client.Map(ctx, "s4://b/in/", "s4://b/out/", "sort | uniq -c", nil)
//
// Cluster.Place decides which server owns a key. The client connects to the owner
// itself, so that the bytes of a key pass through no other server. A job is driven by a
// Coordinator, in the client, or for a detached job in a server.
//
//	Client.Put/Get ── place ── data connection ── server that owns the key
//	Client.List    ── control connection ── every server, merged in order
//	Client.Map…    ── control connection ── every server; prepare, then commit
//
// The functions of compat.go are those of the original s4 package, for programs that
// were written for it. Cluster.Place, Fingerprint and Dialer, and Submit and the
// Coordinator, are exported for servers.
//
// The package knows nothing of the files and processes of servers.
package s4

import "github.com/nathants/s4/names"

// Scheme is the start of every key and prefix as people write them.
const Scheme = names.Scheme

// Release is the version of this source, which the programs print and servers send in
// answer to HEALTH. The protocol has a version of its own, wire.Version.
const Release = "0.1.0"
