#!/usr/bin/env bash
# Checks who imports whom: the rooms of the program and their order.
#
# usage: scripts/check_imports.sh
#
# Every package lists here what it may import beside the standard library; s4 is
# short for the module's path.
# Tests may import anything, and so may bench, which nobody imports. os/exec is
# for the exec package, for bench, which starts programs as a shell would, for
# cli/ui, which starts a browser, and for cli/s3/s3test, which starts an S3 server.
# Only tests import s3test, and bench what is below it.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
-h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
'') ;;
*) echo "check_imports.sh: no arguments (see --help)" >&2; exit 2 ;;
esac

allowed() {
	case $1 in
	s4/wire) echo github.com/cespare/xxhash/v2 ;;
	s4/names) echo s4/wire github.com/bmatcuk/doublestar/v4 ;;
	s4/xfer) echo s4/wire golang.org/x/sys/unix github.com/cespare/xxhash/v2 github.com/pierrec/lz4/v4 ;;
	s4/exec) echo golang.org/x/sys/unix mvdan.cc/sh/v3/syntax os/exec ;;
	s4) echo s4/names s4/wire s4/xfer github.com/cespare/xxhash/v2 ;;
	s4/node) echo s4 s4/names s4/wire s4/xfer s4/exec golang.org/x/sys/unix golang.org/x/time/rate github.com/cespare/xxhash/v2 go.uber.org/zap ;;
	s4/node/nodetest) echo s4 s4/node s4/wire golang.org/x/sys/unix go.uber.org/zap ;;
	s4/cli) echo s4 s4/cli/flags s4/cli/partition s4/exec s4/wire github.com/cespare/xxhash/v2 github.com/spf13/cobra github.com/spf13/pflag golang.org/x/sys/unix golang.org/x/term golang.org/x/text/width ;;
	s4/cli/flags) echo github.com/spf13/cobra github.com/spf13/pflag ;;
	s4/cli/partition) echo github.com/cespare/xxhash/v2 golang.org/x/sys/unix ;;
	s4/cli/ui) echo s4 s4/cli/flags os/exec ;;
	s4/cli/server) echo s4 s4/cli/flags s4/cli/server/metrics s4/node s4/xfer github.com/coreos/go-systemd/v22/daemon github.com/prometheus/client_golang/prometheus/promhttp github.com/spf13/cobra go.uber.org/zap go.uber.org/zap/zapcore ;;
	s4/cli/server/metrics) echo s4/node s4/wire github.com/prometheus/client_golang/prometheus github.com/prometheus/client_golang/prometheus/collectors ;;
	s4/cli/s3/s3test) echo s4/cli/s3/s3test/sigv4 s4/cli/s3/s3test/versity github.com/rclone/gofakes3 github.com/rclone/gofakes3/s3mem os/exec ;;
	s4/cli/s3/s3test/versity) echo golang.org/x/sys/unix os/exec ;;
	s4/cli/s4) echo s4/cli ;;
	s4/cli/s3) echo s4 s4/cli s4/names github.com/aws/aws-sdk-go-v2/aws github.com/aws/aws-sdk-go-v2/aws/middleware github.com/aws/aws-sdk-go-v2/aws/signer/v4 github.com/aws/aws-sdk-go-v2/aws/transport/http github.com/aws/aws-sdk-go-v2/config github.com/aws/aws-sdk-go-v2/credentials/processcreds github.com/aws/aws-sdk-go-v2/service/s3 github.com/aws/aws-sdk-go-v2/service/s3/types github.com/aws/smithy-go github.com/aws/smithy-go/logging github.com/aws/smithy-go/transport/http github.com/klauspost/compress/gzip github.com/klauspost/compress/zstd github.com/minio/crc64nvme github.com/pierrec/lz4/v4 github.com/spf13/pflag golang.org/x/sys/unix ;;
	s4/cli/s4-s3) echo s4/cli/s3 ;;
	s4/cli/s4-ui) echo s4 s4/cli s4/cli/ui ;;
	s4/cli/s4-server) echo s4/cli/server ;;
	s4/scripts/mkshare) echo s4 s4/cli s4/cli/server github.com/spf13/cobra github.com/spf13/cobra/doc ;;
	s4/bench/s4-bench) echo s4/bench ;;
	*) echo "" ;;
	esac
}

bad=0
while read -r pkg imports; do
	[ "$pkg" != s4/bench ] || continue
	for i in $imports; do
		# The standard library has no dot in its first element.
		case $i in
		os/exec | s4 | s4/* | *.*/*) ;;
		*) continue ;;
		esac
		case " $(allowed "$pkg") " in
		*" $i "*) ;;
		*) echo "$pkg must not import $i" >&2; bad=1 ;;
		esac
	done
done < <(go list -f '{{.ImportPath}} {{join .Imports " "}}' ./... | sed 's#github.com/nathants/s4#s4#g')
exit $bad
