package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// The bytes of the trips when etl is named, and as one of all workloads.
const (
	etlSize      = 1 << 30
	etlSizeOfAll = 256 << 20
)

// etlQuery is a question about the trips, as two scripts. Both use the same
// commands on the rows, and leave the same result: in the keys below outKeys, and in
// the files of the directory out, by name.
type etlQuery struct {
	name, work, yardstick string
	target                Target

	s4    string // $1 is the s4 program
	files string // runs beside in/, with $1 processes at once on $2 files each
}

// Programs for awk, which both sides run. Those that sum up have one for rows
// and one for sums of rows.
const (
	awkPassengers = `awk -F, '{ n[$4]++ } END { for (k in n) print k "," n[k] }'`
	awkDates      = `awk -F, '{ n[substr($2, 1, 10)]++ } END { for (k in n) print k "," n[k] }'`
	awkDistances  = `awk -F, '{ n[substr($2, 1, 10)] += $5 } END { for (k in n) printf "%s,%.0f\n", k, n[k] }'`
	awkSums       = `awk -F, '{ n[$1] += $2 } END { for (k in n) printf "%s,%.0f\n", k, n[k] }' | sort`

	// Rows pass that may be among the longest: least rises as soon as 100 that
	// are longer have passed.
	awkTop = `awk -F, '
		$5 >= least {
			print
			n++
			c[$5 + 0]++
			while (n - c[least + 0] >= 100) n -= c[least++ + 0]
		}'`
	sortTop = `sort -t, -k5,5 -r | awk 'NR <= 100'`

	// Split points for 48 ranges with as many rows each, from sorted distances.
	// Rows come in no order, so that the first ones of some files are a sample.
	// In a range of 1/48 there are few distances and a sort that fits the cache.
	etlSample = `head -n 2000 | cut -d, -f5`
	awkPoints = `sort | awk '{ d[NR] = $1 } END { for (i = 1; i < 48; i++) print d[int(NR * i / 48) + 1] }' | uniq`

	// What s4 partition --by range does.
	awkRange = `awk -F, '
		BEGIN { while ((getline point < "points") > 0) points[++n] = point }
		{
			if (!($5 in range)) {
				for (i = 1; i <= n && points[i] "" <= $5; i++) ;
				range[$5] = sprintf("%s/%03d", dir, i - 1)
			}
			print > range[$5]
		}'`
)

// aggregate is a query that sums up the rows of each file, and then the sums.
// These are so few that one task merges them in no time: more would only be more
// to start.
func aggregate(name, work, rows, sums string) etlQuery {
	return etlQuery{
		name: name, work: work, target: AtMost(1.1, Time),
		yardstick: "xargs -P on local files with the same awk, then one merge",
		s4: `"$1" map-to-n ` + inKeys + ` ` + tmpKeys + ` '
` + escape(rows) + ` >000; echo 000'
"$1" map-from-n ` + tmpKeys + ` ` + outKeys + ` '
xargs -d "\n" cat | ` + escape(sums) + `'`,
		// A file for each process: lines of several on one pipe would mix.
		files: `ls -d in/* | xargs -P "$1" -n "$2" bash -c '
` + escape(rows) + ` "$@" >tmp/$$' -
cat tmp/* | ` + sums + ` >out/000`,
	}
}

func etlQueries() []etlQuery {
	return []etlQuery{
		aggregate("passengers", "rides by passengers", awkPassengers, awkSums),
		aggregate("dates", "rides by date", awkDates, awkSums),
		aggregate("distances", "distance by date", awkDistances, awkSums),
		aggregate("top", "top 100 by distance", awkTop, sortTop),
		{
			name: "sort", work: "sort by distance", target: AtMost(1, Time),
			yardstick: "local files: awk splits into 48 ranges, then xargs -P sort",
			s4: `for i in 00 01 02; do
	"$1" eval "` + inKeys + `${i}_trips" '` + etlSample + `'
done | ` + awkPoints + ` >points
"$1" map-to-n --file points ` + inKeys + ` ` + tmpKeys + ` 's4 partition -n 48 --by range "$S4_ASSETS/points" -d , -k 5'
"$1" map-from-n ` + tmpKeys + ` ` + outKeys + ` 'tr "\n" "\0" | sort --parallel=1 -t, -k5,5 --files0-from=-'`,
			files: `for i in 00 01 02; do
	<"in/${i}_trips" ` + etlSample + `
done | ` + awkPoints + ` >points
ls -d in/* | xargs -P "$1" -n "$2" bash -c '
mkdir tmp/$$
` + escape(awkRange) + ` dir=tmp/$$ "$@"' -
ls tmp/* | grep -x '[0-9][0-9][0-9]' | sort -u | xargs -P "$1" -I {} bash -c 'sort --parallel=1 -t, -k5,5 -o out/{} tmp/*/{}'`,
		},
	}
}

// etlWorkload is questions about a data set as shell pipelines.
func etlWorkload(o Options) Workload {
	size := o.count(etlSize)
	if o.All {
		size = o.count(etlSizeOfAll)
	}
	unit := 1 << 10 // for people
	if size >= 1<<20 {
		unit = 1 << 20
	}
	size = max(1, size/unit) * unit
	trips := tripFiles(int64(size))
	w := Workload{Name: "etl", Title: "five queries of taxi trips in CSV, as shell pipelines"}
	for _, q := range etlQueries() {
		w.Rows = append(w.Rows, Row{
			Name:      "etl-" + q.name,
			Work:      fmt.Sprintf("%s, %s in %d keys", q.work, sizeText(int64(size)), trips.files),
			Yardstick: q.yardstick,
			Targets:   []Target{q.target},
			Rounds:    largeRounds,
			// Local files and keys, and of one side at a time what is between
			// and what comes out.
			Needs: Needs{Tree: trips, Put: true, Copies: 4, Room: 64 << 20},
			Start: q.start,
		})
	}
	return w
}

func (q *etlQuery) start(ctx context.Context, e *Env) (*Comparison, error) {
	if err := os.Symlink(e.Tree.Dir, filepath.Join(e.RowDir, "in")); err != nil {
		return nil, err
	}
	// As many files for each process as leave work to share when one is slow.
	each := max(1, int(e.Tree.Files)/(4*runtime.NumCPU()))
	s4, files := e.Cluster.Script(q.s4), Script(q.files, cores(), strconv.Itoa(each))
	s4.Dir, files.Dir = e.RowDir, e.RowDir
	return e.compareLoop(ctx, s4, "files", files, e.Tree.Bytes, 0)
}
