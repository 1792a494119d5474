// Package s3 copies between S3 and an s4 cluster: "s4 import" and "s4 export". It is in a
// program of its own, s4-s3, because what speaks HTTP and TLS would make every s4 start
// later. That program is both ends:
//
//	s4 import ── exec ──> s4-s3 import   lists the objects, makes the manifest, runs a map
//	                        │
//	                        └─ on every server, a task each:  s4-s3 get <record >object
//
//	s4 export ── exec ──> s4-s3 export   runs a map without output
//	                        │
//	                        └─ on every server, a task each:  s4-s3 put <object
//
// The verbs themselves are in package cli, which knows this package as a cli.S3. What the
// tasks do is here: a record says what to fetch, a getter fetches it in ranges, a putter
// uploads it in parts. Both compare what they moved with a checksum that S3 has, too.
//
// # Why aws-sdk-go-v2
//
// Of the libraries that are kept, this and minio-go 7 were built into the same small
// program, stripped: 10.6 and 8.1 MB, 19 modules each; it starts in 9.6 ms of CPU time
// and 4.6. What decides is who finds the credentials: its chain has all that
// the AWS tools have, environment, shared files with AWS_PROFILE, role_arn, SSO and
// credential_process, containers, web identity and EC2, and that of minio-go has no
// role_arn and no SSO in files. A process that fetches many objects makes up for its
// start. The transfer manager is not used: objects go straight from a connection to their
// place in the output file, with If-Match and a CRC for each range.
package s3
