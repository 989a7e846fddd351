package scorer

import "time"

// SetTimeout changes how long a program may take.
func SetTimeout(s *Exec, d time.Duration) { s.timeout = d }
