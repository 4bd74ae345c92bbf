package step

// Listener is a Run that tells of its output. timeout(activity: true) needs it.
type Listener interface {
	// Listen calls heard for every piece of output of what is called after the call at a, in its thread and in the branches that
	// this starts, until stop is called. heard may be called from any goroutine and must not block.
	Listen(a Address, heard func()) (stop func())
}
