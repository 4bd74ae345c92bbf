package server

import (
	"context"

	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/cas"
)

// keepArtifacts names the blobs of all archived artifacts, for the blob store to keep: they live as long as their build.
func keepArtifacts(builds build.Store, details build.Details) func(context.Context, func(cas.Digest)) error {
	const page = 500
	return func(ctx context.Context, keep func(cas.Digest)) error {
		jobs, err := builds.Jobs(ctx)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			for before := 0; ; {
				list, err := builds.Builds(ctx, build.Filter{Job: j.Name, Before: before, Limit: page})
				if err != nil {
					return err
				}
				for _, b := range list {
					artifacts, err := details.Artifacts(ctx, b.ID)
					if err != nil {
						return err
					}
					for _, a := range artifacts {
						d, err := cas.ParseDigest(a.Digest)
						if err != nil {
							return err
						}
						keep(d)
					}
					before = b.ID.Number
				}
				if len(list) < page {
					break
				}
			}
		}
		return nil
	}
}
