package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/reapi/conform"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server"
	"github.com/outwork-build/outwork/server/servertest"
)

func dialCache(t *testing.T, address string, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func conforms(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	for _, c := range conform.Cache() {
		if err := c.Run(t.Context(), conform.At(conn, "main")); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// One port, both protocols: what gRPC puts, HTTP gets.
func TestCachePort(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.CacheListen, cfg.CacheAnonymous = "127.0.0.1:0", "write"
	f := servertest.Start(t, cfg)
	address := f.Server.CacheAddress()
	conforms(t, dialCache(t, address, insecure.NewCredentials()))
	b := "put over HTTP"
	url := "http://" + address + "/cas/" + cas.Of([]byte(b)).Hash
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	d := cas.Of([]byte(b))
	got, err := repb.NewContentAddressableStorageClient(dialCache(t, address, insecure.NewCredentials())).BatchReadBlobs(t.Context(),
		&repb.BatchReadBlobsRequest{Digests: []*repb.Digest{{Hash: d.Hash, SizeBytes: d.Size}}})
	if err != nil || string(got.Responses[0].Data) != b {
		t.Errorf("%v, %v", got, err)
	}
}

// A connection that says nothing holds nobody up, and one that says little is answered.
func TestCachePortHearsSlowClients(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.CacheListen, cfg.CacheAnonymous = "127.0.0.1:0", "read"
	f := servertest.Start(t, cfg)
	silent, err := net.Dial("tcp", f.Server.CacheAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	slow, err := net.Dial("tcp", f.Server.CacheAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	for _, part := range []string{"P", "UT", " /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"} {
		if _, err := io.WriteString(slow, part); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(slow)
	if err != nil || !strings.Contains(string(b), "404") {
		t.Errorf("%q, %v", b, err)
	}
}

// Tokens of the cache let in for just that.
func TestCacheScopes(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.CacheListen = "127.0.0.1:0"
	f := servertest.Start(t, cfg)
	token := func(scope string) string {
		tok, err := f.Client.CreateToken(f.Context(), api.TokenCreate{Name: scope, Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		return tok.Secret
	}
	reader, writer := token("cache-read"), token("cache-write")
	if _, err := f.As(writer).Jobs(f.Context()); !fault.Is(err, fault.Denied) {
		t.Errorf("a token of the cache lists jobs: %v", err)
	}
	conn := dialCache(t, f.Server.CacheAddress(), insecure.NewCredentials())
	b := []byte("bytes")
	d := &repb.Digest{Hash: cas.Of(b).Hash, SizeBytes: int64(len(b))}
	for _, c := range []struct {
		secret      string
		read, write codes.Code
		get, put    int
	}{
		{"", codes.Unauthenticated, codes.Unauthenticated, 401, 401},
		{"owt_wrong", codes.Unauthenticated, codes.Unauthenticated, 401, 401},
		{reader, codes.OK, codes.PermissionDenied, 200, 403},
		{writer, codes.PermissionDenied, codes.OK, 403, 200},
		{token("read"), codes.OK, codes.PermissionDenied, 200, 403},
		{token("write"), codes.PermissionDenied, codes.OK, 403, 200},
	} {
		ctx := t.Context()
		if c.secret != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.secret)
		}
		blobs := repb.NewContentAddressableStorageClient(conn)
		_, err := blobs.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}})
		if status.Code(err) != c.read {
			t.Errorf("read with %.8q: %v, expected %s", c.secret, err, c.read)
		}
		_, err = blobs.BatchUpdateBlobs(ctx, &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: b}}})
		if status.Code(err) != c.write {
			t.Errorf("write with %.8q: %v, expected %s", c.secret, err, c.write)
		}
		for _, base := range []string{"http://" + f.Server.CacheAddress(), f.Server.URL()} { // on the one port too
			if code := cacheHTTP(t, http.MethodPut, base+"/cas/"+d.Hash, c.secret, string(b)); code != c.put {
				t.Errorf("PUT at %s with %.8q: %d, expected %d", base, c.secret, code, c.put)
			}
			if code := cacheHTTP(t, http.MethodGet, base+"/cas/"+cas.Empty.Hash, c.secret, ""); code != c.get {
				t.Errorf("GET at %s with %.8q: %d, expected %d", base, c.secret, code, c.get)
			}
		}
	}
}

// cacheHTTP makes a request with a secret as the password of the admin.
func cacheHTTP(t *testing.T, method, url, secret, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		r.SetBasicAuth("admin", secret)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestCachePortTLS(t *testing.T) {
	cfg := servertest.Config(t)
	cert, pool := certificate(t)
	cfg.TLS, cfg.CacheListen, cfg.CacheAnonymous = cert, "127.0.0.1:0", "write"
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	conforms(t, dialCache(t, s.CacheAddress(), credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})))
	for _, http2 := range []bool{false, true} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2}}
		resp, err := client.Get("https://" + s.CacheAddress() + "/cas/" + cas.Empty.Hash)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("HTTP/2 %v: %v, %v", http2, resp, err)
		} else {
			resp.Body.Close()
		}
		client.CloseIdleConnections()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCacheAnonymousIsChecked(t *testing.T) {
	cfg := servertest.Config(t)
	cfg.CacheAnonymous = "all"
	if _, err := server.New(t.Context(), cfg); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "--cache-anonymous") {
		t.Error(err)
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (*server.TLS, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	shape := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, shape, shape, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := &server.TLS{Cert: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	pool := x509.NewCertPool()
	for name, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return files, pool
}
