// Package names has the rules for the names of keys, which clients and servers
// share: what a key, a prefix and a directory may be called, globs over them, and
// the numeric prefix that decides where a key lives.
//
//	s4://bucket/path/012_part.csv
//	     ------ --------  bucket and path: CheckKey, CheckPrefix, Glob
//	                   ---  NumericPrefix of the Base
//
// It knows no cluster, no connection and no file. Its errors are *wire.Error of kind
// CodeBadKey, so that a server sends them as they are.
package names
