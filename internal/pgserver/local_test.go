package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func value[T any](t *testing.T, url, sql string) T {
	t.Helper()
	var v T
	if err := connect(t, url).QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestLocalClusterSaysWhatItIs(t *testing.T) {
	t.Parallel()
	s := local(t, Options{})
	if got := value[string](t, s.URL, "show server_version"); !strings.HasPrefix(got, s.Version) {
		t.Errorf("Version is %q, the server says %q", s.Version, got)
	}
	want := fmt.Sprintf("private cluster of %s in %s", s.cluster.bin, s.cluster.dir.path)
	if s.Origin != want {
		t.Errorf("Origin is %q, want %q", s.Origin, want)
	}
	if got := value[string](t, s.URL, "show server_encoding"); got != "UTF8" {
		t.Errorf("encoding is %s", got)
	}
}

func TestTheFilesAreInMemoryIfThatIsWantedAndThereIsRoom(t *testing.T) {
	t.Parallel()
	memory := memoryBase()
	if memory == "" || !hasRoom(memory) {
		t.Skip("there is no room in memory here")
	}
	for _, wanted := range []bool{true, false} {
		dir, err := newDirectory(wanted)
		if err != nil {
			t.Fatal(err)
		}
		if in := strings.HasPrefix(dir.path, memory+"/"); in != wanted {
			t.Errorf("memory wanted: %v, the directory is %s", wanted, dir.path)
		}
		if err := dir.remove(); err != nil {
			t.Error(err)
		}
	}
	if hasRoom("/no/such/directory") {
		t.Error("there is room where nothing is")
	}
}

func TestLocalClusterTakesSettings(t *testing.T) {
	t.Parallel()
	s := local(t, Options{Settings: map[string]string{
		"fsync":                    "off",
		"max_connections":          "17",
		"shared_preload_libraries": "",
		"application_name":         "with spaces and 'quotes'",
	}})
	if got := value[string](t, s.URL, "show max_connections"); got != "17" {
		t.Errorf("max_connections is %s", got)
	}
	if got := value[string](t, s.URL, "select reset_val from pg_settings where name = 'application_name'"); got != "with spaces and 'quotes'" {
		t.Errorf("application_name is %s", got)
	}
}

func TestLocalClusterIsReachableOnLoopbackOnlyAndWithItsPasswordOnly(t *testing.T) {
	t.Parallel()
	s := local(t, Options{})
	if got := value[string](t, s.URL, "show listen_addresses"); got != "127.0.0.1" {
		t.Errorf("listen_addresses is %s", got)
	}
	wrong := strings.Replace(s.URL, s.cluster.password, "wrong", 1)
	if conn, err := pgx.Connect(t.Context(), wrong); err == nil {
		conn.Close(t.Context())
		t.Error("a wrong password was accepted")
	}
	socket := fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.cluster.dir.cluster, s.cluster.port)
	if got := value[int](t, socket, "select 1"); got != 1 {
		t.Errorf("over the socket 1 is %d", got)
	}
	info, err := os.Stat(s.cluster.dir.cluster)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory has mode %v", info.Mode())
	}
}

func TestCloseLeavesNothingBehindAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	s := local(t, Options{})
	connect(t, s.URL) // an open session does not hold it up
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s.cluster.process.running() || answers(s.cluster.port) {
		t.Error("postgres still runs")
	}
	if _, err := os.Stat(s.cluster.dir.path); !os.IsNotExist(err) {
		t.Errorf("%s is still there", s.cluster.dir.path)
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("a closed cluster was started")
	}
}

func TestStopAndStartKeepPortAndData(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"smart", "fast", "immediate"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := local(t, Options{Settings: map[string]string{"shared_buffers": "16MB"}})
			setup, err := pgx.Connect(t.Context(), s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := setup.Exec(t.Context(), "create table kept as select 42 as v"); err != nil {
				t.Fatal(err)
			}
			setup.Close(t.Context())

			for range 2 { // the second does nothing
				if err := s.Stop(t.Context(), mode); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := pgx.Connect(t.Context(), s.URL); err == nil {
				t.Fatal("it answers although it is stopped")
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Start(t.Context()); err == nil {
				t.Error("a running cluster was started again")
			}
			if got := value[int](t, s.URL, "select v from kept"); got != 42 {
				t.Errorf("after %s the row is %d", mode, got)
			}
			if err := s.Restart(t.Context(), "immediate"); err != nil {
				t.Fatal(err)
			}
			if got := value[int](t, s.URL, "select v from kept"); got != 42 {
				t.Errorf("after a restart the row is %d", got)
			}
		})
	}
}

func TestSmartStopWaitsForSessionsAsLongAsTheContextLasts(t *testing.T) {
	t.Parallel()
	s := local(t, Options{})
	connect(t, s.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx, "smart"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := s.Stop(t.Context(), "fast"); err != nil {
		t.Error(err)
	}
}

func TestStopRefusesAnUnknownMode(t *testing.T) {
	t.Parallel()
	if err := local(t, Options{}).Stop(t.Context(), "gentle"); err == nil {
		t.Error("no error")
	}
}

func TestAClusterThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{Way: WayLocal, Private: true, Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got %v", err)
	}
}

func TestAContextThatEndsDuringTheStartLeavesNothing(t *testing.T) {
	t.Parallel()
	bins := withPrograms(searchDirs())
	if len(bins) == 0 {
		t.Fatal("no PostgreSQL programs on this machine")
	}
	dir, err := newDirectory(false)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.remove()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := startCluster(ctx, bins[0], dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheNewestProgramsComeFirst(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, v := range []string{"9.6", "15", "17", "other"} {
		if err := os.MkdirAll(filepath.Join(base, v, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, path := range newestFirst(filepath.Join(base, "*", "bin")) {
		got = append(got, filepath.Base(filepath.Dir(path)))
	}
	if fmt.Sprint(got) != "[17 15 9.6 other]" {
		t.Errorf("got %v", got)
	}
}

func TestPortsAreBelowTheRangeOfOutgoingConnections(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	if port < firstPort || port > lastPort {
		t.Errorf("port %d", port)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
