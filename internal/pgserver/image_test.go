//go:build linux

package pgserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// entrypoint does what the usual image's does, as far as this package needs it.
const entrypoint = `#!/bin/sh
set -e
export LC_ALL=C PGDATA=/var/lib/postgresql/data
if [ "$(id -u)" = 0 ]; then
	mkdir -p $PGDATA && chown -R 70:70 /var/lib/postgresql && chmod 700 $PGDATA
	exec setpriv --reuid=70 --regid=70 --clear-groups "$0" "$@"
fi
if [ ! -s $PGDATA/PG_VERSION ]; then
	printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
	initdb -U "$POSTGRES_USER" --pwfile=/tmp/password -A scram-sha-256 -E UTF8 --no-sync > /tmp/initdb.log 2>&1 || { cat /tmp/initdb.log; exit 1; }
	echo 'host all all all scram-sha-256' >> $PGDATA/pg_hba.conf
	rm /tmp/password
fi
exec "$@" -c 'listen_addresses=0.0.0.0' -c unix_socket_directories=/tmp
`

// userland is what the entrypoint and initdb call.
var userland = []string{"sh", "id", "mkdir", "chown", "chmod", "setpriv", "cat", "rm"}

// buildImage makes a Docker image of the PostgreSQL of this machine, because tests
// need no registry then. It returns the image's name.
func buildImage(t *testing.T) string {
	t.Helper()
	bins := withPrograms(searchDirs())
	if len(bins) == 0 {
		t.Skip("SKIPPED: no PostgreSQL programs on this machine to make a Docker image of")
	}
	bin := bins[0]
	var root bytes.Buffer
	a := newArchive(t, &root, "/")
	for _, path := range a.postgres(bin) {
		a.libraries(path)
	}
	for _, name := range userland {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("SKIPPED: this machine has no %s to put into the image", name)
		}
		a.copy(path)
		a.libraries(path)
		a.link("/usr/bin/"+name, path)
	}
	a.link("/bin/sh", "/usr/bin/sh")
	a.file("/entrypoint", 0o755, entrypoint)
	a.file("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n")
	a.file("/etc/group", 0o644, "root:x:0:\npostgres:x:70:\n")
	a.dir("/tmp", 0o1777)
	a.dir("/var/lib/postgresql", 0o755)
	if err := a.w.Close(); err != nil {
		t.Fatal(err)
	}

	name := fmt.Sprintf("pgq-test-postgres:%d", os.Getpid())
	importing := exec.Command("docker", "import",
		"--change", `ENTRYPOINT ["/entrypoint"]`,
		"--change", `CMD ["postgres"]`,
		"--change", "EXPOSE 5432",
		"--change", "ENV PATH="+bin+":/usr/bin:/bin",
		"-", name)
	importing.Stdin = &root
	if out, err := importing.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", "--force", name).CombinedOutput(); err != nil {
			t.Errorf("docker rmi: %v\n%s", err, out)
		}
	})
	return name
}
