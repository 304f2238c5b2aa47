package pgserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// helperVariable makes the test binary do something else: "cluster" starts a private
// cluster, prints where it is, and waits; "docker" tries Docker once.
const helperVariable = "PGSERVER_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperVariable) {
	case "cluster":
		holdCluster()
		return
	case "docker":
		s, err := Start(context.Background(), Options{Way: WayDocker})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		s.Close()
		return
	}
	// What the environment says is for the users of this package, not for its tests.
	for _, name := range []string{"PGQ_POSTGRES", "PGQ_POSTGRES_IMAGE", "PGQ_EMBEDDED_POSTGRES_URL", "PGQ_DATABASE_URL"} {
		os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m)
}

func holdCluster() {
	s, err := Start(context.Background(), Options{Way: WayLocal, Private: true, Settings: TestSettings(), InMemory: true})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(s.cluster.process.cmd.Process.Pid, s.cluster.dir.path, s.cluster.port)
	os.Stdin.Read(make([]byte, 1)) // until the parent closes it or kills us
	if err := s.Close(); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

// local starts a private cluster of this machine's programs.
func local(t *testing.T, o Options) *Server {
	t.Helper()
	o.Way, o.Private, o.InMemory = WayLocal, true, true
	if o.Settings == nil {
		o.Settings = TestSettings()
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("it did not come about that %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answers tells whether somebody listens on the port.
func answers(port int) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	c.Close()
	return true
}
