package exec

// tail keeps the last max bytes written to it, and counts all. It takes memory
// as bytes arrive, up to max. The zero tail only counts.
type tail struct {
	max   int
	ring  []byte // grows to max, then is overwritten from next on
	next  int    // the oldest byte, once the ring is full
	total int64
}

// Write takes all of p; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	t.total += int64(n)
	p = p[max(0, n-t.max):]
	grow := min(t.max-len(t.ring), len(p))
	t.ring = append(t.ring, p[:grow]...)
	for p = p[grow:]; len(p) > 0; {
		c := copy(t.ring[t.next:], p)
		t.next = (t.next + c) % t.max
		p = p[c:]
	}
	return n, nil
}

// Bytes returns a copy of what is kept, oldest first; nil if that is nothing.
func (t *tail) Bytes() []byte {
	if len(t.ring) == 0 {
		return nil
	}
	b := make([]byte, 0, len(t.ring))
	b = append(b, t.ring[t.next:]...)
	return append(b, t.ring[:t.next]...)
}
