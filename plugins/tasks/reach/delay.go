package reach

import "github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"

// delay is a buffer of the last values of a quantity of all trials. The oldest is read after the newest is written, so that it is as many bins old as there are slots, less one.
//
// The adjoint of such a delay is one that runs backward: what is written are gradients by what was read, last bin first, and what is read from it is the gradient by what was
// written in a bin. Gradients by the value that the buffer was first filled with are not needed.
type delay[F arm.Float] struct {
	size   int
	values []F // (slots, size)
	at     int // slot of the newest
}

func newDelay[F arm.Float](slots, size int) *delay[F] {
	return &delay[F]{size: size, values: make([]F, slots*size)}
}

// next makes the oldest slot the newest and returns it, to be written.
func (d *delay[F]) next() []F {
	d.at = (d.at + d.size) % len(d.values)
	return d.newest()
}

func (d *delay[F]) newest() []F { return d.values[d.at : d.at+d.size] }

func (d *delay[F]) oldest() []F {
	at := (d.at + d.size) % len(d.values)
	return d.values[at : at+d.size]
}

// fill writes the newest to every slot.
func (d *delay[F]) fill() {
	for at := 0; at < len(d.values); at += d.size {
		if at != d.at {
			copy(d.values[at:at+d.size], d.newest())
		}
	}
}

// clear empties the buffer.
func (d *delay[F]) clear() { clear(d.values) }
