package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// The sizes of the trips when the user says none: when etl is named, and as one
// of all workloads.
const (
	etlSize      = 1 << 30
	etlSizeOfAll = 256 << 20
)

// etlBytes is how many bytes of trips there are, about.
func (o Options) etlBytes() int64 {
	if o.ETLSize > 0 {
		return o.ETLSize
	}
	return int64(o.count(etlSize))
}

// etlQuery is a question about the trips, as three scripts. Those of s4 and of
// the yardstick use the same commands on the rows, and leave all of the result
// in order: in the keys below s4://etl/out/, and in the files of the directory
// out, by name. The reference is what one process says of all files, $@.
type etlQuery struct {
	name, work, yardstick string
	target                Target

	s4        string // $1 is the s4 program
	files     string // runs beside in/, with $1 processes at once on $2 files each
	reference string
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
func aggregate(name, work, rows, sums, reference string) etlQuery {
	return etlQuery{
		name: name, work: work, target: AtMost(1.1, Time),
		yardstick: "xargs -P on local files with the same awk, then one merge",
		s4: `"$1" map-to-n s4://etl/in/ s4://etl/tmp/ '
` + escape(rows) + ` >000; echo 000'
"$1" map-from-n s4://etl/tmp/ s4://etl/out/ '
xargs -d "\n" cat | ` + escape(sums) + `'`,
		// A file for each process: lines of several on one pipe would mix.
		files: `ls -d in/* | xargs -P "$1" -n "$2" bash -c '
` + escape(rows) + ` "$@" >tmp/$$' -
cat tmp/* | ` + sums + ` >out/000`,
		reference: reference,
	}
}

// escape makes a script part of one word in single quotes.
func escape(script string) string {
	return strings.ReplaceAll(script, `'`, `'\''`)
}

func etlQueries() []etlQuery {
	return []etlQuery{
		aggregate("passengers", "rides by passengers", awkPassengers, awkSums, `cat "$@" | `+awkPassengers+` | sort`),
		aggregate("dates", "rides by date", awkDates, awkSums, `cat "$@" | `+awkDates+` | sort`),
		aggregate("distances", "distance by date", awkDistances, awkSums, `cat "$@" | `+awkDistances+` | sort`),
		aggregate("top", "top 100 by distance", awkTop, sortTop, `cat "$@" | `+sortTop),
		{
			name: "sort", work: "sort by distance", target: AtMost(1, Time),
			yardstick: "local files: awk splits into 48 ranges, then xargs -P sort",
			s4: `for i in 00 01 02; do
	"$1" eval "s4://etl/in/${i}_trips" '` + etlSample + `'
done | ` + awkPoints + ` >points
"$1" map-to-n --file points s4://etl/in/ s4://etl/tmp/ 's4 partition -n 48 --by range "$S4_ASSETS/points" -d , -k 5'
"$1" map-from-n s4://etl/tmp/ s4://etl/out/ 'tr "\n" "\0" | sort --parallel=1 -t, -k5,5 --files0-from=-'`,
			files: `for i in 00 01 02; do
	` + etlSample + ` <"in/${i}_trips"
done | ` + awkPoints + ` >points
ls -d in/* | xargs -P "$1" -n "$2" bash -c '
mkdir tmp/$$
` + escape(awkRange) + ` dir=tmp/$$ "$@"' -
ls tmp/* | grep -x '[0-9][0-9][0-9]' | sort -u | xargs -P "$1" -I {} bash -c 'sort --parallel=1 -t, -k5,5 -o out/{} tmp/*/{}'`,
			reference: `sort -t, -k5,5 "$@"`,
		},
	}
}

// etlWorkload is questions about a data set as shell pipelines.
func etlWorkload(o Options) Workload {
	w := Workload{Name: "etl", Title: "five queries of taxi trips in CSV, as shell pipelines"}
	size := o.etlBytes()
	keys := tripFiles(size)
	if size >= 1<<20 {
		size = size >> 20 << 20 // for people
	}
	for _, q := range etlQueries() {
		w.Rows = append(w.Rows, Row{
			Name:      "etl-" + q.name,
			Work:      fmt.Sprintf("%s, %s in %d keys", q.work, sizeText(size), keys),
			Yardstick: q.yardstick,
			Targets:   []Target{q.target},
			Rounds:    largeRounds,
			// Local files and keys, and of one side at a time what is between
			// and what comes out.
			Room:  4*o.etlBytes() + 64<<20,
			Start: q.start,
		})
	}
	return w
}

// etlData is what all queries ask: files in dir/in, and the same as keys below
// s4://etl/in/.
type etlData struct {
	dir   string
	files []string
	bytes int64
}

// etlData returns the trips, made and loaded when they are first asked for in a
// workload.
func (e *Env) etlData(ctx context.Context, c *Cluster) (*etlData, error) {
	d := &etlData{dir: filepath.Join(e.Dir, "etl")}
	in := filepath.Join(d.dir, "in")
	_, err := e.makeTree(d.dir, func(*Tree) error {
		if err := os.Mkdir(in, 0o700); err != nil {
			return err
		}
		if err := makeTrips(ctx, in, e.etlBytes()); err != nil {
			return err
		}
		_, _, err := c.s4(ctx, "cp", "-r", in+"/", "s4://etl/in/")
		return err
	})
	if err != nil {
		return nil, err
	}
	if d.files, err = filepath.Glob(filepath.Join(in, "*")); err != nil {
		return nil, err
	}
	for _, path := range d.files {
		fi, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		d.bytes += fi.Size()
	}
	return d, nil
}

// byteOrder is the environment in which both sides' programs compare bytes.
var byteOrder = []string{"LC_ALL=C"}

func (q *etlQuery) start(ctx context.Context, e *Env) (*Comparison, error) {
	c, err := e.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	data, err := e.etlData(ctx, c)
	if err != nil {
		return nil, err
	}
	want, err := q.answer(ctx, e, data)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	side := func(name string, cmd Command, results string) Side {
		cmd.Dir = data.dir
		cmd.Env = append(cmd.Env, byteOrder...)
		return Side{
			Name: name, Command: cmd, Bytes: data.bytes, Keys: int64(len(data.files)),
			Check: func(context.Context, []byte) error { return checkParts(results, want) },
			Clean: func(ctx context.Context) error { return data.clean(ctx, c) },
		}
	}
	query := Script(q.s4, e.S4)
	query.Env = c.Env()
	s4 := side("s4", query, filepath.Join(c.dir, "*", "etl", "out", "*"))
	s4.Servers = c.Pids
	// As many files for each process as leave work to share when one is slow.
	cpus := runtime.NumCPU()
	each := max(1, len(data.files)/(4*cpus))
	files := Script(q.files, strconv.Itoa(cpus), strconv.Itoa(each))
	return &Comparison{S4: s4, Yardstick: side("files", files, filepath.Join(data.dir, "out", "*"))}, nil
}

// clean removes what either side's query made, and makes ready for the next.
func (d *etlData) clean(ctx context.Context, c *Cluster) error {
	return errors.Join(
		c.Remove(ctx, "s4://etl/tmp/"), c.Remove(ctx, "s4://etl/out/"),
		emptyDir(filepath.Join(d.dir, "tmp"))(ctx), emptyDir(filepath.Join(d.dir, "out"))(ctx),
		os.RemoveAll(filepath.Join(d.dir, "points")))
}

// answer asks one process, and returns the sum of what it says.
func (q *etlQuery) answer(ctx context.Context, e *Env, d *etlData) (Sum, error) {
	out := filepath.Join(d.dir, "answer")
	cmd := Script(`out=$1; shift; { `+q.reference+`; } >"$out"`, append([]string{out}, d.files...)...)
	cmd.Env = append([]string{"TMPDIR=" + d.dir}, byteOrder...)
	if _, _, err := e.run(ctx, cmd); err != nil {
		return Sum{}, err
	}
	sum, err := sumParts([]string{out})
	return sum, errors.Join(err, os.Remove(out))
}

// checkParts compares the files that match a pattern, one after the other by
// name, with the sum.
func checkParts(pattern string, want Sum) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Compare(filepath.Base(a), filepath.Base(b)) })
	got, err := sumParts(paths)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d parts have %d bytes with xxh64 %016x, and should have %d with %016x", len(paths), got.Size, got.Hash, want.Size, want.Hash)
	}
	return nil
}

// sumParts sums up files as if they were one.
func sumParts(paths []string) (Sum, error) {
	digest := xxhash.New()
	var sum Sum
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return Sum{}, err
		}
		n, err := io.Copy(digest, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return Sum{}, fmt.Errorf("%s: %w", path, err)
		}
		sum.Size += n
	}
	sum.Hash = digest.Sum64()
	return sum, nil
}
