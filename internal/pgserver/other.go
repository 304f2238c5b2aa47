//go:build !unix

package pgserver

import (
	"errors"
	"os"
	"syscall"
)

// On systems other than Unix only a given URL works; the rest is here to compile.

var errNotUnix = errors.New("servers are started on Unix systems only; set PGQ_DATABASE_URL")

type account struct{}

type directory struct {
	path, cluster string
	account       *account
}

func newDirectory(bool) (*directory, error) { return nil, errNotUnix }

func (d *directory) remove() error               { return nil }
func (d *directory) writeFile(_, _ string) error { return errNotUnix }
func (d *directory) openLog() (*os.File, error)  { return nil, errNotUnix }
func (d *directory) readLog(int64) string        { return "" }
func (p *process) signalGroup(s syscall.Signal)  { p.signal(s) }
func ownerLives(string) bool                     { return true }

const directoryPrefix = "pgq-postgres-"

func childAttributes(*account, syscall.Signal) *syscall.SysProcAttr { return nil }
