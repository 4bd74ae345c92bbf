package need

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Nginx runs a real one on a port of loopback until the test's end, and returns the port. tls is a file with a certificate and its key,
// empty for none; locations are the location blocks of its one server.
func Nginx(t testing.TB, tls, locations string) (port string) {
	t.Helper()
	binary := Program(t, "nginx-light", "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	port = Port(t)
	listen := "listen 127.0.0.1:" + port + ";"
	if tls != "" {
		listen = fmt.Sprintf("listen 127.0.0.1:%s ssl; ssl_certificate %[2]s; ssl_certificate_key %[2]s;", port, tls)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server {
    %[2]s
    %[3]s
  }
}
`, dir, listen, locations)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	Server(t, "127.0.0.1:"+port, binary, "-p", dir, "-c", path, "-e", "stderr")
	return port
}
