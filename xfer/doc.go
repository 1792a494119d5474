// Package xfer moves object bytes between files and TCP connections: sendfile
// with a known checksum, streams hashed as they pass, lz4, and the receiving
// side that hashes and verifies. It knows frames (package wire) but no keys,
// no messages' meaning, no placement and no policy beyond the I/O timeout.
//
//	SendFile    *os.File --sendfile--> socket       checksum given
//	SendStream  io.Reader -> buffer -> socket       hashed on the way, maybe lz4
//	Recv        socket -> buffer -> io.Writer       hashed, checked against the trailer
//	Pipeline    many requests in flight on one Conn, answered in order
//	Pool        connections that are idle, to be used again
//	Temp        a file without a name, published whole or not at all
//
// There is no bufio on a Conn: headers are read exactly, so that object bytes
// are never in a buffer that sendfile or a direct read would have to skip.
package xfer
