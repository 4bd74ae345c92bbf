package interp

// IsFatal reports an error that ends the program whatever the script does: no catch and no post block may hold it up.
func IsFatal(err error) bool { return isFatal(err) }
