//go:build linux

package pgserver

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// requireDocker skips the test where there is no Docker, and says so.
func requireDocker(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, the Docker way of finding a server is NOT tested: %v: %s", err, lastLines(string(out), 1))
	}
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestDockerRunsTheImageAndRemovesTheContainer(t *testing.T) {
	t.Parallel()
	requireDocker(t)
	image := buildImage(t)
	t.Run("server", func(t *testing.T) {
		s, err := Start(t.Context(), Options{Way: WayDocker, Private: true, Image: image, Settings: map[string]string{
			"fsync":           "off",
			"max_connections": "17",
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if !strings.Contains(s.Origin, image) || !strings.Contains(s.Origin, "Docker container") {
			t.Errorf("Origin is %q", s.Origin)
		}
		if got := value[string](t, s.URL, "show max_connections"); got != "17" {
			t.Errorf("max_connections is %s", got)
		}
		if got := value[string](t, s.URL, "show server_version"); !strings.HasPrefix(got, s.Version) {
			t.Errorf("Version is %q, the server says %q", s.Version, got)
		}
		if err := s.Stop(t.Context(), "fast"); !errors.Is(err, ErrNotPrivate) {
			t.Errorf("Stop returned %v", err)
		}
		if got := docker(t, "ps", "--quiet", "--filter", "ancestor="+image); got == "" {
			t.Error("no container of the image runs")
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if got := docker(t, "ps", "--all", "--quiet", "--filter", "ancestor="+image); got != "" {
			t.Errorf("after Close there is still container %s", got)
		}
	})
	t.Run("container that fails", func(t *testing.T) {
		_, err := Start(t.Context(), Options{Way: WayDocker, Image: image, Settings: map[string]string{"no_such_setting": "1"}})
		if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
			t.Errorf("got %v", err)
		}
		if got := docker(t, "ps", "--all", "--quiet", "--filter", "ancestor="+image); got != "" {
			t.Errorf("after a failed start there is still container %s", got)
		}
	})
	t.Run("container of a dead owner", func(t *testing.T) {
		machine, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		left := docker(t, "create",
			"--label", labelMachine+"="+machine,
			"--label", labelOwner+"=/tmp/"+directoryPrefix+"gone", image)
		s, err := Start(t.Context(), Options{Way: WayDocker, Image: image})
		if err != nil {
			docker(t, "rm", left)
			t.Fatal(err)
		}
		defer s.Close()
		if got := docker(t, "ps", "--all", "--quiet", "--no-trunc"); strings.Contains(got, left) {
			t.Error("the container of a dead owner is still there")
		}
		value[int](t, s.URL, "select 1")
	})
}

func TestAnImageThatCannotBePulledFailsSoonWithTheReason(t *testing.T) {
	t.Parallel()
	requireDocker(t)
	image := "127.0.0.1:1/no/such:image"
	begun := time.Now()
	_, err := Start(t.Context(), Options{Way: WayDocker, Image: image})
	if err == nil || !strings.Contains(err.Error(), image) || !strings.Contains(err.Error(), "cannot be pulled") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// The library remembers the daemon it found, so this needs a process of its own.
func TestAMissingDaemonFailsSoonWithTheReason(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, host := range []string{"unix:///no/such/docker.sock", "tcp://127.0.0.1:1", "tcp://" + silent.Addr().String()} {
		t.Run(host, func(t *testing.T) {
			binary, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			helper := exec.Command(binary)
			helper.Env = append(os.Environ(), helperVariable+"=docker", "DOCKER_HOST="+host)
			begun := time.Now()
			out, err := helper.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "no Docker daemon answers") {
				t.Errorf("got %v: %s", err, out)
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}
