// Package wire turns bytes into Go values and back: the preamble, frames,
// messages, error codes and limits of the s4 protocol. PROTOCOL.md at the top
// of the repository is its specification; this package is the one place in
// the code that knows the byte layout.
//
//	preamble   32 bytes each way, once: magic, versions, channel, features, fingerprint
//	proofs     behind the preambles, if the cluster has a secret: see Secret
//	frame      8 byte header, then the body
//
//	+--------+--------+--------+--------+
//	|     body length, big-endian       |
//	+--------+--------+--------+--------+
//	|  type  | flags  |       tag       |
//	+--------+--------+--------+--------+
//	|  body ...
//
// It does no I/O of its own, keeps no state and knows no policy: timeouts,
// retries and what to do with a message are the callers' business. It must
// not import anything from this module.
package wire
