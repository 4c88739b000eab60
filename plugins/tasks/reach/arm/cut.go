package arm

// Cut forgets, on the way back, the gradient by the state between the step that comes next and the one before, as truncated backpropagation through time does.
func (p *Plant[F]) Cut() { p.forget() }
