package pgserver

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below the range that systems give to outgoing connections
// (32768 and up on Linux, 49152 elsewhere). Within it, a client that tries again
// and again while the server is down can be given the server's own port, connect to
// itself, and keep the server from coming back.
const (
	firstPort = 10240
	lastPort  = 32767
)

// freePort finds a port on 127.0.0.1 that nobody listens on right now.
func freePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l.Close()
		return port, nil
	}
	return 0, errors.New("no free port on 127.0.0.1")
}
