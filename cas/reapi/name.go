package reapi

import (
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
)

// resource is what a ByteStream resource name says.
type resource struct {
	digest cas.Digest
	zstd   bool // the bytes travel compressed
}

// parseName reads a resource name: {instance/}blobs/{hash}/{size} or {instance/}compressed-blobs/zstd/{hash}/{size}, and for uploads
// {instance/}uploads/{uuid}/ before and {/anything} behind that. Instance names may hold slashes, not the keywords. The digest function
// may stand before the hash.
func parseName(name string, upload bool) (resource, error) {
	bad := func(why string) (resource, error) {
		return resource{}, status.Errorf(codes.InvalidArgument, "resource name %.300q: %s", name, why)
	}
	var r resource
	segs := strings.Split(name, "/")
	at := 0
	if upload {
		for at < len(segs) && segs[at] != "uploads" {
			at++
		}
		if at += 2; at >= len(segs) {
			return bad("expected [INSTANCE/]uploads/UUID/blobs/HASH/SIZE")
		}
	} else {
		for at < len(segs) && segs[at] != "blobs" && segs[at] != "compressed-blobs" {
			at++
		}
	}
	rest := segs[min(at+1, len(segs)):]
	switch {
	case at < len(segs) && segs[at] == "compressed-blobs":
		if len(rest) == 0 || rest[0] != "zstd" {
			return bad("expected the compressor zstd")
		}
		r.zstd, rest = true, rest[1:]
	case at < len(segs) && segs[at] != "blobs":
		return bad("expected blobs or compressed-blobs after the UUID")
	}
	if len(rest) > 0 && rest[0] == "sha256" {
		rest = rest[1:]
	}
	if len(rest) < 2 || !upload && len(rest) > 2 {
		return bad("expected [INSTANCE/]blobs/HASH/SIZE")
	}
	size, err := strconv.ParseInt(rest[1], 10, 64)
	if err != nil {
		return bad("the size is no number")
	}
	r.digest = cas.Digest{Hash: rest[0], Size: size}
	if err := r.digest.Validate(); err != nil {
		return bad(err.Error())
	}
	return r, nil
}
