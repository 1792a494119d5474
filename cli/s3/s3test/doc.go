// Package s3test has S3 servers for tests, and a proxy that breaks what goes between
// them and a client. Only tests import it.
//
//	client ──► Proxy ──► Server      a Rule says which requests meet which Fault
//	             │          ├── Fake: gofakes3 in this process, in memory
//	             └─ Calls   └── Versity: versitygw, a process with its files in a directory
//
// Both servers verify signatures and the checksums that come with an upload. What each
// does not do that S3 does is said at its Kind. All ends with the test that started it.
package s3test
