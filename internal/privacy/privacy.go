// Package privacy keeps the other users of a machine out of files and folders. On unix that is what permission bits are for; on
// Windows they mean nothing, and whoever made the folder above decides who may read and write, unless someone says otherwise. Its functions
// may be called concurrently.
package privacy
