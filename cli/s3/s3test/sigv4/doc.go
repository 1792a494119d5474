// Package sigv4 is an S3 client of one request: it signs it with AWS Signature
// Version 4, sends it, and hands back the response. It retries nothing, splits
// nothing and verifies nothing, so that tests see what a server answers, and
// measurements see what it can do. It is for tests and for bench.
package sigv4
