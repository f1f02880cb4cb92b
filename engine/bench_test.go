package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// A queue is what BenchmarkRing compares.
type queue interface {
	put(v uint64)
	take(dst []uint64) int // 0: closed and empty
	close()
}

type ringQueue struct{ ring *Ring[uint64] }

func (q ringQueue) put(v uint64) {
	if err := q.ring.Put(context.Background(), v); err != nil {
		panic(err)
	}
}

func (q ringQueue) take(dst []uint64) int {
	n, _ := q.ring.TakeBatch(context.Background(), dst)
	return n
}

func (q ringQueue) close() { q.ring.Close() }

// A channelQueue takes what waits, as the ring does, with what channels offer.
type channelQueue chan uint64

func (q channelQueue) put(v uint64) { q <- v }

func (q channelQueue) take(dst []uint64) int {
	v, open := <-q
	if !open {
		return 0
	}
	dst[0] = v
	for n := 1; n < len(dst); n++ {
		select {
		case v, open := <-q:
			if !open {
				return n
			}
			dst[n] = v
		default:
			return n
		}
	}
	return len(dst)
}

func (q channelQueue) close() { close(q) }

// BenchmarkRing moves values from producers to consumers that take up to 64 at
// a time, through the ring and through a channel of the same capacity.
func BenchmarkRing(b *testing.B) {
	const capacity, values = 1024, 1 << 16
	impls := map[string]func() queue{
		"ring":    func() queue { return ringQueue{newRing[uint64](b, capacity)} },
		"channel": func() queue { return make(channelQueue, capacity) },
	}
	for _, producers := range []int{1, 2, 16} {
		for _, consumers := range []int{1, 2} {
			for _, impl := range []string{"ring", "channel"} {
				b.Run(fmt.Sprintf("impl=%s/producers=%d/consumers=%d", impl, producers, consumers), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						moveAll(b, impls[impl](), producers, consumers, values)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/values, "ns/value")
				})
			}
		}
	}
}

func moveAll(b *testing.B, q queue, producers, consumers, values int) {
	var in, out sync.WaitGroup
	for range producers {
		in.Go(func() {
			for i := range values / producers {
				q.put(uint64(i))
			}
		})
	}
	taken := make([]int, consumers)
	for c := range consumers {
		out.Go(func() {
			dst := make([]uint64, 64)
			for n := q.take(dst); n > 0; n = q.take(dst) {
				taken[c] += n
			}
		})
	}
	in.Wait()
	q.close()
	out.Wait()
	sum := 0
	for _, n := range taken {
		sum += n
	}
	if sum != values {
		b.Fatalf("%d values came out, want %d", sum, values)
	}
}

// A load is a batch that takes a while: each stage does a number of steps of a
// linear congruential generator, about a nanosecond each.
type load struct {
	value uint64
	done  chan struct{} // for the pipeline of channels
}

func spin(value uint64, steps int) uint64 {
	for range steps {
		value = value*6364136223846793005 + 1442695040888963407
	}
	return value
}

// BenchmarkPipeline runs the same batches through Run and through a pipeline
// of channels with the same workers, the same bound on memory and the same
// order at the sink. Work tells how long a worker has a batch: empty shows
// what the machinery costs, 250us is a batch of 256 vouchers at about a
// microsecond each.
func BenchmarkPipeline(b *testing.B) {
	for _, work := range []struct {
		name           string
		batches, steps int
	}{{"empty", 20000, 0}, {"10us", 2000, 10000}, {"250us", 100, 250000}} {
		for _, workers := range []int{1, 2} {
			for _, impl := range []struct {
				name string
				run  func(workers, slots, batches, steps int) uint64
			}{{"slots", runSlots}, {"channel", runChannels}} {
				b.Run(fmt.Sprintf("impl=%s/work=%s/workers=%d", impl.name, work.name, workers), func(b *testing.B) {
					b.ReportAllocs()
					want := runSerial(work.batches, work.steps)
					for b.Loop() {
						if got := impl.run(workers, 16, work.batches, work.steps); got != want {
							b.Fatalf("sum %x, want %x", got, want)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(work.batches), "ns/batch")
				})
			}
		}
	}
}

func runSerial(batches, steps int) (sum uint64) {
	for seq := range batches {
		sum = sum*31 + spin(uint64(seq), steps)
	}
	return sum
}

func runSlots(workers, slots, batches, steps int) (sum uint64) {
	err := Run(context.Background(), Config{Workers: workers, Slots: slots}, func() *load { return new(load) }, Stages[load]{
		Fill: func(_ context.Context, turn Turn, l *load) (bool, error) {
			l.value = turn.Seq
			return turn.Seq < uint64(batches)-1, nil
		},
		Work: func(_ int, _ uint64, l *load) error { l.value = spin(l.value, steps); return nil },
		Sink: func(_ uint64, l *load) error { sum = sum*31 + l.value; return nil },
	})
	if err != nil {
		panic(err)
	}
	return sum
}

// runChannels is the usual way to keep order with channels: the filler sends
// each batch to the workers and, in sequence, to the sink, which waits on the
// batch's own channel for the worker to be done.
func runChannels(workers, slots, batches, steps int) (sum uint64) {
	unused, work, order := make(chan *load, slots), make(chan *load, slots), make(chan *load, slots)
	for range slots {
		unused <- &load{done: make(chan struct{}, 1)}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for seq := range batches {
			l := <-unused
			l.value = uint64(seq)
			work <- l
			order <- l
		}
		close(work)
		close(order)
	})
	for range workers {
		all.Go(func() {
			for l := range work {
				l.value = spin(l.value, steps)
				l.done <- struct{}{}
			}
		})
	}
	for l := range order {
		<-l.done
		sum = sum*31 + l.value
		unused <- l
	}
	all.Wait()
	return sum
}

// BenchmarkOnline asks from many goroutines at once, each waiting for its own
// answer.
func BenchmarkOnline(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			o := newOnline(b, OnlineConfig{Workers: 1}, double)
			defer o.Close()
			b.ReportAllocs()
			b.SetParallelism(clients)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if got, err := o.Do(context.Background(), 3); got != 6 || err != nil {
						b.Errorf("%d, %v", got, err)
					}
				}
			})
		})
	}
}
