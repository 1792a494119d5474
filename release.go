package s4

// Release is the version of this source: of the client, the programs and the
// server's answer to HEALTH. The protocol has its own, wire.Version.
const Release = "0.1.0"
