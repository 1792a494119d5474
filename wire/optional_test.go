package wire

import "testing"

// optional is how many bytes of fields may be missing at the end of a message, all of
// them or none.
var optional = map[Type]int{
	TypeGet:        2 * 8,
	TypePush:       4 + 8,
	TypeObject:     4, // and what the number says
	TypeEntries:    4, // and what the number says
	TypeHealthInfo: 2 * 8,
	TypeJob:        2*8 + 4,
	TypeJobInfo:    3*8 + 1 + 8 + 4 + 4, // and what the number says
	TypeCancel:     1,
	TypePrepare:    4, // and what the number says
}

// isShort reports whether a message leaves them out.
func isShort(m Message) bool {
	switch m := m.(type) {
	case *Get:
		return m.Offset == 0 && m.Length == 0
	case *Push:
		return m.Source == 0 && m.Epoch == 0
	case *Object:
		return m.Path == ""
	case *Entries:
		return !m.summed()
	case *HealthInfo:
		return m.Suspended == 0 && m.SuspendedJobs == 0 && !m.Open
	case *Job:
		return m.Wait == 0 && m.Driver == 0 && m.Batch == 0 && !m.chooses()
	case *JobInfo:
		return m.Term == 0 && m.Job.Batch == 0 && !m.Job.chooses()
	case *Cancel:
		return !m.Discard
	case *Prepare:
		return len(m.Without) == 0
	}
	return false
}

// choice returns the length of the last fields of a JOB or JOBINFO, which may be missing by
// themselves, and whether the message could have them.
func choice(m Message) (n int, could bool) {
	switch m := m.(type) {
	case *Job:
		return len(m.appendChoice(nil)), true
	case *JobInfo:
		return len(m.Job.appendChoice(nil)), true
	}
	return 0, false
}

// There is a golden message with, and one without what may be missing, and the
// difference is as long as it should be.
func TestGoldenOptional(t *testing.T) {
	short, full := make(map[Type]bool), make(map[Type]bool)
	eachGolden(t, func(t *testing.T, i int, h Header, body []byte) {
		if isShort(golden[i].m) {
			short[h.Type] = true
		} else {
			full[h.Type] = true
		}
	})
	for typ := range optional {
		if !short[typ] || !full[typ] {
			t.Errorf("%s: short %v, full %v", typ, short[typ], full[typ])
		}
	}
	for typ := range short {
		if optional[typ] == 0 {
			t.Errorf("%s may be short, and has nothing that may be missing", typ)
		}
	}
}
