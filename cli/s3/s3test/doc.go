// Package s3test has S3 servers for tests, and a proxy that breaks what goes between
// them and a client. Only tests import it.
//
//	client ──► Proxy ──► Server      a Rule says which requests meet which Fault
//	             │          ├── Fake: gofakes3 in this process, in memory
//	             └─ Calls   └── Versity: versitygw, a process with its files in a directory
//
// Both servers verify signatures and the checksums that come with an upload, keep
// conditions of reads and writes, give checksums only when asked to and never of a
// range, and store a Content-Encoding without acting on it, as S3 does. All ends with
// the test that started it.
//
// What S3 does that a client must know, and where it can be tested:
//
//	lists have 1,000 keys a page, or fewer           both; Fake with SetPageSize
//	lists encode keys, if asked to                   Fake; Versity has control characters as U+FFFD
//	keys such as a//b, a/../b, a line feed, 300 n    Fake; Versity stores a/b and b, and refuses the last
//	the directory dir/ of no bytes beside dir/x      both; Versity has no dir beside dir/x, Fake has
//	the ETag of several parts ends in -N             Versity; that of Fake is the MD5 of the content
//	the ETag of KMS encryption is not an MD5         Fake with SetKMS
//	a checksum of the whole, and one of parts        Versity, which adds CRC64NVME where there is none;
//	                                                 Fake has those of single puts, if they were sent
//	an upload that fails after status 200            Proxy with LateError
//	archived objects, another region                 Proxy with Archived, WrongRegion
//	slow down, internal errors, tokens that expire   Proxy
//	versions                                         Fake
package s3test
