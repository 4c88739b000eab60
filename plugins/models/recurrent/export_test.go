package recurrent

import "time"

// SetPatience bounds a call on a task in another process, for tests that do not wait for minutes.
func (m *Model[F]) SetPatience(d time.Duration) { m.patience = d }
