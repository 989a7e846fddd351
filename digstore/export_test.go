package digstore

// AnyNames lets a commit take resources whatever their names, as other implementations do.
func (o *CommitOptions) AnyNames() *CommitOptions {
	o.anyNames = true
	return o
}

// OnWindows corrects what the vectors expect of a name on Windows.
var OnWindows = onWindows
