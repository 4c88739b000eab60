package wire

// pairs relates the values of a Go type to those of an enumeration. The zero values go with each other without being listed.
type pairs[G, P comparable] []struct {
	g G
	p P
}

func (l pairs[G, P]) to(g G) (P, bool) {
	var zero P
	var none G
	for _, x := range l {
		if x.g == g {
			return x.p, true
		}
	}
	return zero, g == none
}

func (l pairs[G, P]) from(p P) (G, bool) {
	var zero G
	var none P
	for _, x := range l {
		if x.p == p {
			return x.g, true
		}
	}
	return zero, p == none
}
