package agent

import "time"

// Vitals is how a machine feels, as it says of itself with a heartbeat. Quantities that the machine cannot measure are -1.
type Vitals struct {
	Clock     time.Time // the machine's wall clock when it measured
	Disk      Space     // where the agent's folder is
	Temp      Space     // where temporary files go
	Memory    int64     // bytes that programs can still have without swapping
	MemoryAll int64
	Swap      int64 // bytes free
	SwapAll   int64
	Load      float64 // 1-minute load average; on systems without one, the busy CPUs of the last interval
	CPUs      int
	Uptime    time.Duration // of the machine
	Agent     int64         // bytes of memory the agent itself has resident
}

// Space is the room on one file system.
type Space struct {
	Path  string // a folder on it
	Free  int64  // bytes an unprivileged user can still write
	Total int64  // bytes
	// Age is how long before Vitals.Clock it was measured. It grows while the file system does not answer.
	Age time.Duration
}
