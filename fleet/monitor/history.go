package monitor

import (
	"iter"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/outwork-build/outwork/fleet"
)

// Quantity is something of which a History keeps a day.
type Quantity = fleet.Quantity

// Quantities of a History: those of the monitors, in their units, and two more.
const (
	DiskFree      Quantity = Disk
	TempFree      Quantity = Temp
	SwapFree      Quantity = Swap
	ClockOffset   Quantity = Clock
	ResponseTime  Quantity = Response
	MemoryFree    Quantity = "memory" // bytes that programs can still have
	Load          Quantity = "load"   // 1-minute load average
	quantityCount          = 7
)

// Quantities returns all quantities of a History.
func Quantities() [quantityCount]Quantity {
	return [quantityCount]Quantity{DiskFree, TempFree, SwapFree, ClockOffset, ResponseTime, MemoryFree, Load}
}

const (
	fine    = 60  // seconds of a point of the last two hours
	coarse  = 300 // seconds of a point of the last day
	fines   = 2 * 3600 / fine
	coarses = 24 * 3600 / coarse
)

// Point is what a quantity did in one stretch of time.
type Point = fleet.Point

// History is a day of one node: a point for each minute of the last two hours and for each five minutes of the last 24. It
// takes 18 kB and keeps values to half a percent. The zero value is empty. It may be used concurrently.
type History struct {
	mu     sync.Mutex
	series [quantityCount]series
	own    map[Quantity]*series // of the node's own monitors that have a value
	last   [2]int64             // numbers of the open points, counted from 1970; 0 before the first sample
}

// series is a day of one quantity.
type series struct {
	fine   [fines]packed
	coarse [coarses]packed
	now    [2]open // the points that are being made: fine, coarse
}

// packed is min, average and max as the upper half of a float32; all zero bits are no sample.
type packed [3]uint16

// open is a point that is being made.
type open struct {
	min, max, sum float32
	n             uint32
}

// Add takes a sample. Samples older than the newest count as of its time.
func (h *History) Add(s fleet.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(s.Readings)
	h.advance(0, s.At.Unix()/fine, fines)
	h.advance(1, s.At.Unix()/coarse, coarses)
	for q, mine := range h.own {
		if r, ok := s.Readings[string(q)]; ok && r.Failed == "" {
			for res := range mine.now {
				mine.now[res].add(float32(r.Value))
			}
		}
	}
	for i, x := range values(s) {
		if !math.IsNaN(x) {
			for res := range h.series[i].now {
				h.series[i].now[res].add(float32(x))
			}
		}
	}
}

// keep makes room for the node's own monitors that have a value, and forgets those that are no more.
func (h *History) keep(rs map[string]fleet.Reading) {
	maps.DeleteFunc(h.own, func(q Quantity, _ *series) bool { return rs[string(q)].Probe.Value == "" })
	for name, r := range rs {
		if r.Probe.Value == "" || h.own[Quantity(name)] != nil {
			continue
		}
		if h.own == nil {
			h.own = map[Quantity]*series{}
		}
		h.own[Quantity(name)] = &series{}
	}
}

// all are the series of all quantities.
func (h *History) all() iter.Seq[*series] {
	return func(yield func(*series) bool) {
		for i := range h.series {
			if !yield(&h.series[i]) {
				return
			}
		}
		for _, s := range h.own {
			if !yield(s) {
				return
			}
		}
	}
}

// values lists the quantities of a sample in the order of Quantities; what it has not is NaN.
func values(s fleet.Sample) (xs [quantityCount]float64) {
	v := s.Vitals
	for i := range xs {
		xs[i] = math.NaN()
	}
	if s.TimedOut {
		xs[4] = timedOut
		return xs
	}
	xs[4] = milliseconds(s.RoundTrip)
	if unmeasured(s) {
		return xs
	}
	for i, space := range []struct{ free, all int64 }{{v.Disk.Free, v.Disk.Total}, {v.Temp.Free, v.Temp.Total}, {v.Swap, v.SwapAll}} {
		if space.free >= 0 && space.all > 0 {
			xs[i] = float64(space.free)
		}
	}
	xs[3] = milliseconds(s.Offset)
	if v.Memory >= 0 && v.MemoryAll > 0 {
		xs[5] = float64(v.Memory)
	}
	if v.Load >= 0 {
		xs[6] = v.Load
	}
	return xs
}

// advance closes the open points of a resolution when a later one begins, and empties what lies between.
func (h *History) advance(res int, number int64, length int) {
	last := h.last[res]
	if last == 0 {
		h.last[res] = number
		return
	}
	if number <= last {
		return
	}
	h.last[res] = number
	for s := range h.all() {
		ring := s.fine[:]
		if res == 1 {
			ring = s.coarse[:]
		}
		ring[last%int64(length)] = s.now[res].pack()
		s.now[res] = open{}
		for k := range min(number-last-1, int64(length)) {
			ring[(last+1+k)%int64(length)] = packed{}
		}
	}
}

// Series returns the points of a quantity that begin at since or later, oldest first: of each minute when since is in the
// last two hours, else of each five minutes of the last day. Times without a sample have no point.
func (h *History) Series(q Quantity, since time.Time) (ps []Point) {
	index := -1
	for i, known := range Quantities() {
		if known == q {
			index = i
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.own[q]
	if index >= 0 {
		s = &h.series[index]
	}
	if s == nil || h.last[0] == 0 {
		return nil
	}
	res, ring, seconds := 0, s.fine[:], int64(fine)
	if since.Unix() <= (h.last[0]-fines)*fine {
		res, ring, seconds = 1, s.coarse[:], coarse
	}
	last, length := h.last[res], int64(len(ring))
	from := max(last-length+1, (since.Unix()+seconds-1)/seconds)
	for k := from; k <= last; k++ {
		p := s.now[res].pack()
		if k < last {
			p = ring[k%length]
		}
		if p != (packed{}) {
			ps = append(ps, p.point(time.Unix(k*seconds, 0)))
		}
	}
	return ps
}

func (o *open) add(x float32) {
	if o.n == 0 || x < o.min {
		o.min = x
	}
	if o.n == 0 || x > o.max {
		o.max = x
	}
	o.sum += x
	o.n++
}

func (o *open) pack() packed {
	if o.n == 0 {
		return packed{}
	}
	return packed{half(o.min), half(min(o.max, max(o.min, o.sum/float32(o.n)))), half(o.max)}
}

// half rounds to the upper 16 bits. A zero is written as minus zero, so that it is not "no sample".
func half(x float32) uint16 {
	if x == 0 {
		return 0x8000
	}
	bits := math.Float32bits(x)
	if h := uint16((uint64(bits) + 0x8000) >> 16); h&0x7fff != 0 {
		return h
	}
	return 0x8000
}

func (p packed) point(at time.Time) Point {
	wide := func(h uint16) float64 { return float64(math.Float32frombits(uint32(h)<<16)) + 0 }
	return Point{At: at, Min: wide(p[0]), Avg: wide(p[1]), Max: wide(p[2])}
}
