package bench

import (
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"time"
)

// tripFiles are about size bytes of trips, in files of 16 MiB, unless that makes too
// few for all servers or more than need be.
func tripFiles(size int64) treeSpec {
	files := int(min(64, max(4, size>>24)))
	return treeSpec{
		name:  fmt.Sprintf("trips-%d", size),
		files: files,
		size:  int(size) / files,
		file:  func(i int) string { return fmt.Sprintf("%02d_trips", i) },
		write: func(w io.Writer, i int) error { return writeTrips(w, i, size/int64(files)) },
	}
}

// Trips are rows of a made-up taxi data set:
//
//	vendor,pickup,dropoff,passengers,distance,rate,payment,fare,tip,tolls,total
//	2,2014-03-17 08:21:45,2014-03-17 08:39:02,1,00263,1,card,9.75,1.95,0.00,11.70
//
// The distance is in hundredths of a mile: sums are exact in whatever order they
// are made. It has five digits always, so that the order of bytes is that of
// numbers, for sort and for s4 partition.
//
// The same file has the same rows everywhere: all is computed in integers.
type trips struct {
	random rand.PCG
}

// writeTrips writes whole rows of one file until there are size bytes or more.
func writeTrips(w io.Writer, file int, size int64) error {
	var t trips
	t.random.Seed(0x7472697073, uint64(file)) // "trips"
	var row []byte
	for n := int64(0); n < size; n += int64(len(row)) {
		row = t.append(row[:0])
		if _, err := w.Write(row); err != nil {
			return err
		}
	}
	return nil
}

// tripDays is how many days the trips are from.
const tripDays = 365

// append adds one row.
func (t *trips) append(b []byte) []byte {
	r, s := t.random.Uint64(), t.random.Uint64()
	take := func(n uint64) uint64 { // a number below n
		v := (s & 0xffff) * n >> 16
		s = bits.RotateLeft64(s, -13) * 0x9e3779b97f4a7c15
		return v
	}
	// Half of the trips are longer than one step, a quarter than two: a curve
	// with a long tail, as of an exponential distribution.
	distance := 40 + uint64(bits.LeadingZeros64(r|1))*180 + (r&0xfff)*180>>12
	passengers := uint64(max(1, 7-bits.Len64(r>>12&0x7f))) // 1 in half of the trips, and up to 7
	start := take(tripDays)*86400 + take(86400)
	seconds := 120 + distance*3 + take(600)
	fare := 250 + distance*2 + distance/2
	tip := fare * take(30) / 100
	var tolls uint64
	if distance > 1500 {
		tolls = 533
	}

	vendor, rate, payment := 1+take(2), 1+take(5), [...]string{"card", "cash", "none"}[take(3)]
	b = fmt.Appendf(b, "%d,", vendor)
	b = appendDate(b, start)
	b = appendDate(b, start+seconds)
	b = fmt.Appendf(b, "%d,%05d,%d,%s", passengers, distance, rate, payment)
	for _, cents := range [...]uint64{fare, tip, tolls, fare + tip + tolls} {
		b = fmt.Appendf(b, ",%d.%02d", cents/100, cents%100)
	}
	return append(b, '\n')
}

// appendDate adds the time that is so many seconds after the first, and a comma.
func appendDate(b []byte, seconds uint64) []byte {
	first := time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)
	return first.Add(time.Duration(seconds)*time.Second).AppendFormat(b, "2006-01-02 15:04:05,")
}
