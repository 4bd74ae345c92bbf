package reapi

import (
	"context"

	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
)

// byteStream describes the ByteStream service. The generated RegisterByteStreamServer takes only a *grpc.Server and not, like
// its younger kin, any grpc.ServiceRegistrar.
func byteStream() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "google.bytestream.ByteStream",
		HandlerType: (*bytestream.ByteStreamServer)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "QueryWriteStatus", Handler: queryWriteStatus}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Read", Handler: read, ServerStreams: true},
			{StreamName: "Write", Handler: write, ClientStreams: true},
		},
		Metadata: "google/bytestream/bytestream.proto",
	}
}

func read(srv any, stream grpc.ServerStream) error {
	r := new(bytestream.ReadRequest)
	if err := stream.RecvMsg(r); err != nil {
		return err
	}
	return srv.(bytestream.ByteStreamServer).Read(r, &grpc.GenericServerStream[bytestream.ReadRequest, bytestream.ReadResponse]{ServerStream: stream})
}

func write(srv any, stream grpc.ServerStream) error {
	return srv.(bytestream.ByteStreamServer).Write(&grpc.GenericServerStream[bytestream.WriteRequest, bytestream.WriteResponse]{ServerStream: stream})
}

func queryWriteStatus(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	r := new(bytestream.QueryWriteStatusRequest)
	if err := decode(r); err != nil {
		return nil, err
	}
	call := func(ctx context.Context, r any) (any, error) {
		return srv.(bytestream.ByteStreamServer).QueryWriteStatus(ctx, r.(*bytestream.QueryWriteStatusRequest))
	}
	if intercept == nil {
		return call(ctx, r)
	}
	return intercept(ctx, r, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/google.bytestream.ByteStream/QueryWriteStatus"}, call)
}
