package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

const (
	// dockerAnswer bounds how long the Docker daemon may take to say that it is there.
	dockerAnswer = 10 * time.Second
	// dockerPull bounds how long an image may take to arrive.
	dockerPull = 3 * time.Minute

	postgresPort = "5432/tcp"

	// Labels of our containers: the machine and the directory of the owner. A
	// container whose owner's directory is unlocked belongs to nobody.
	labelMachine = "pgq.machine"
	labelOwner   = "pgq.owner"
)

// prepareTestcontainers keeps testcontainers from printing, and from starting its
// own container that removes ours: it would need an image of its own, and our
// labels do the same. TESTCONTAINERS_RYUK_DISABLED=false brings it back.
var prepareTestcontainers = sync.OnceValue(func() error {
	log.SetDefault(log.NewNoopLogger())
	if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") != "" {
		return nil
	}
	return os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
})

// startDocker runs a container.
func startDocker(ctx context.Context, o Options) (*Server, error) {
	if err := prepareTestcontainers(); err != nil {
		return nil, err
	}
	provider, err := dockerProvider(ctx)
	if err != nil {
		return nil, fmt.Errorf("no Docker daemon answers: %w", err)
	}
	defer provider.Close()
	if err := pull(ctx, provider.Client(), o.Image); err != nil {
		return nil, fmt.Errorf("image %s: %w", o.Image, err)
	}
	owner, err := newDirectory(false)
	if err != nil {
		return nil, err
	}
	removeAbandonedContainers(ctx, provider.Client())

	s, err := startContainer(ctx, o, owner)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", o.Image, errors.Join(err, owner.remove()))
	}
	return s, nil
}

// dockerProvider connects to the daemon. The library does so without a context, and
// takes another daemon when that of DOCKER_HOST does not answer.
func dockerProvider(ctx context.Context) (*testcontainers.DockerProvider, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerAnswer)
	defer cancel()
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		if err := ping(ctx); err != nil {
			return nil, fmt.Errorf("DOCKER_HOST=%s: %w", host, err)
		}
	}
	type answer struct {
		provider *testcontainers.DockerProvider
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		p, err := testcontainers.NewDockerProvider()
		answers <- answer{p, err}
	}()
	select {
	case a := <-answers:
		return a.provider, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func ping(ctx context.Context) error {
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer docker.Close()
	_, err = docker.Ping(ctx, client.PingOptions{})
	return err
}

// pull gets the image unless it is there. It tries once: the library would try an
// image that cannot be had for minutes.
func pull(ctx context.Context, docker client.APIClient, image string) error {
	ctx, cancel := context.WithTimeout(ctx, dockerPull)
	defer cancel()
	if _, err := docker.ImageInspect(ctx, image); err == nil {
		return nil
	}
	var options client.ImagePullOptions
	if _, login, err := testcontainers.DockerImageAuth(ctx, image); err == nil {
		if options.RegistryAuth, err = authconfig.Encode(login); err != nil {
			return err
		}
	}
	progress, err := docker.ImagePull(ctx, image, options)
	if err != nil {
		return fmt.Errorf("it is not here and cannot be pulled: %w", err)
	}
	defer progress.Close()
	if err := progress.Wait(ctx); err != nil {
		return fmt.Errorf("it is not here and cannot be pulled: %w", err)
	}
	return nil
}

// startContainer runs the image and waits until its server answers.
func startContainer(ctx context.Context, o Options, owner *directory) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	password := rand.Text()
	machine, _ := os.Hostname()
	command := []string{"postgres"}
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		command = append(command, "-c", name+"="+o.Settings[name])
	}
	container, err := testcontainers.Run(ctx, o.Image,
		testcontainers.WithEnv(map[string]string{
			"POSTGRES_USER":     superuser,
			"POSTGRES_PASSWORD": password,
			"POSTGRES_DB":       "postgres",
		}),
		testcontainers.WithExposedPorts(postgresPort),
		testcontainers.WithCmd(command...),
		testcontainers.WithLabels(map[string]string{labelMachine: machine, labelOwner: owner.path}),
	)
	end := func() error { return testcontainers.TerminateContainer(container, testcontainers.StopTimeout(0)) }
	if err != nil {
		return nil, errors.Join(err, end())
	}
	address, v, err := awaitContainer(ctx, container, password)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	if err := v.check("image " + o.Image); err != nil {
		return nil, errors.Join(err, end())
	}
	return &Server{
		URL:     address,
		Origin:  fmt.Sprintf("Docker container %.12s of image %s", container.GetContainerID(), o.Image),
		Version: v.text,
		close:   closeOnce(func() error { return errors.Join(end(), owner.remove()) }),
	}, nil
}

// awaitContainer waits until the server answers at its published port. The usual
// image first runs a server that no port leads to, so an answer is the right one.
func awaitContainer(ctx context.Context, c *testcontainers.DockerContainer, password string) (string, version, error) {
	addresses, err := addressesOf(ctx, c)
	if err != nil {
		return "", version{}, fmt.Errorf("%w\n%s", err, containerLog(ctx, c))
	}
	for {
		var failed []error
		for _, address := range addresses {
			u := url.URL{
				Scheme:   "postgres",
				User:     url.UserPassword(superuser, password),
				Host:     address,
				Path:     "/postgres",
				RawQuery: "sslmode=disable&connect_timeout=2",
			}
			v, err := ask(ctx, u.String())
			if err == nil {
				u.RawQuery = "sslmode=disable"
				return u.String(), v, nil
			}
			failed = append(failed, err)
		}
		if state, err := c.State(ctx); err == nil && !state.Running {
			return "", version{}, fmt.Errorf("the container ended\n%s", containerLog(ctx, c))
		}
		select {
		case <-ctx.Done():
			return "", version{}, fmt.Errorf("the server does not answer: %w", errors.Join(append(failed, context.Cause(ctx))...))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// addressesOf returns where the server may be reached, best guess first. The library
// takes a process in a container to be a neighbour of the server's; it may as well
// have a daemon of its own, next to it.
func addressesOf(ctx context.Context, c *testcontainers.DockerContainer) ([]string, error) {
	host, err := c.Host(ctx)
	if err != nil {
		return nil, err
	}
	port, err := c.MappedPort(ctx, postgresPort)
	if err != nil {
		return nil, err
	}
	addresses := []string{net.JoinHostPort(host, port.Port())}
	if host != "localhost" {
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", port.Port()))
	}
	return addresses, nil
}

func containerLog(ctx context.Context, c *testcontainers.DockerContainer) string {
	r, err := c.Logs(ctx)
	if err != nil {
		return ""
	}
	defer r.Close()
	b, _ := io.ReadAll(io.LimitReader(r, 1<<20))
	return lastLines(string(b), 8)
}

// removeAbandonedContainers removes this machine's containers whose owner died. It
// is a courtesy: what fails is left for the next one.
func removeAbandonedContainers(ctx context.Context, docker client.APIClient) {
	ctx, cancel := context.WithTimeout(ctx, dockerAnswer)
	defer cancel()
	machine, _ := os.Hostname()
	filters := make(client.Filters).Add("label", labelMachine+"="+machine)
	list, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return
	}
	for _, c := range list.Items {
		owner := c.Labels[labelOwner]
		if !strings.Contains(owner, directoryPrefix) || ownerLives(owner) {
			continue
		}
		_, _ = docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
}
