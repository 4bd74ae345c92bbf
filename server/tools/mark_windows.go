package tools

import "io/fs"

func markOf(info fs.FileInfo) mark { return mark{Size: info.Size(), Time: info.ModTime().UnixNano()} }
