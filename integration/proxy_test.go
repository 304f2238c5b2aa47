package integration

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// proxy stands between clients and the server, and does what networks do.
type proxy struct {
	t        *testing.T
	listener net.Listener
	network  string // of the server
	address  string

	mu    sync.Mutex
	cut   []byte // what breaks the connection once it was forwarded; nil for nothing
	cuts  int    // how often that happened
	links map[*link]bool
	down  bool
	all   sync.WaitGroup
}

// link is a connection of a client and its connection to the server.
type link struct {
	client, server net.Conn
	silent         chan struct{} // closed: nothing is forwarded any more
	once           sync.Once
}

func (l *link) close() { _ = l.client.Close(); _ = l.server.Close() }

// proxied returns a URL of the same database through a proxy.
func proxied(t *testing.T, address string) (*proxy, string) {
	t.Helper()
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	c := config.ConnConfig
	p := &proxy{t: t, network: "tcp", address: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), links: map[*link]bool{}}
	if c.Host[0] == '/' {
		p.network, p.address = "unix", c.Host+"/.s.PGSQL."+strconv.Itoa(int(c.Port))
	}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		p.takeDown()
		p.all.Wait()
	})
	through := url.URL{Scheme: "postgres", User: url.UserPassword(c.User, c.Password), Host: p.listener.Addr().String(), Path: c.Database,
		RawQuery: "sslmode=disable"}
	return p, through.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.address)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{client: client, server: server, silent: make(chan struct{})}
		p.mu.Lock()
		p.links[l] = true
		if p.down {
			l.close()
		}
		p.mu.Unlock()
		p.all.Go(func() { p.forward(l, l.server, l.client, true) })
		p.all.Go(func() { p.forward(l, l.client, l.server, false) })
	}
}

// forward copies one direction, until the link breaks.
func (p *proxy) forward(l *link, to io.Writer, from io.Reader, fromClient bool) {
	ends := l.close
	defer func() {
		ends()
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case <-l.silent:
			continue
		default:
		}
		doomed := fromClient && p.isToCut(buffer[:n])
		if doomed {
			l.once.Do(func() { close(l.silent) })
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
		if doomed {
			// The server reads what it got to the end: what it answers is swallowed by the other direction.
			ends = func() {
				_ = l.client.Close()
				_ = l.server.(interface{ CloseWrite() error }).CloseWrite()
			}
			return
		}
	}
}

// isToCut reports whether the connection shall break after this message.
func (p *proxy) isToCut(message []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut == nil || !bytes.Contains(message, p.cut) {
		return false
	}
	p.cut = nil
	p.cuts++
	return true
}

// cutAfter breaks the next connection on which a client sends this, after it was forwarded and before the answer.
func (p *proxy) cutAfter(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = []byte(part)
}

// hasCut reports whether that has happened.
func (p *proxy) hasCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut == nil
}

// breakAll breaks all connections.
func (p *proxy) breakAll() {
	for _, l := range p.current() {
		l.close()
	}
}

// takeDown breaks all connections and takes no new ones.
func (p *proxy) takeDown() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.breakAll()
}

// swallow turns all connections into half-open ones: they stay, and nothing comes through. New ones work.
func (p *proxy) swallow() {
	for _, l := range p.current() {
		l.once.Do(func() { close(l.silent) })
	}
}

func (p *proxy) current() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*link
	for l := range p.links {
		all = append(all, l)
	}
	return all
}
