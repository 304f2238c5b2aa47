//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// directoryPrefix begins the names of our directories.
const directoryPrefix = "pgq-postgres-"

// directory is a temporary directory with an owner: the process that holds a lock
// on the file in it. The kernel drops the lock when that process dies, so a
// directory whose lock can be had belongs to nobody and may be removed.
//
//	owner     ours, locked
//	cluster/  the account's: data, socket and log of a private cluster
type directory struct {
	path    string
	cluster string
	account *account
	lock    *os.File
}

// newDirectory removes what dead processes left and makes a new directory: where files are in memory if that is wanted
// and there is room.
func newDirectory(inMemory bool) (*directory, error) {
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	base, err := temporaryBase(account)
	if err != nil {
		return nil, err
	}
	removeAbandoned(base)
	if memory := memoryBase(); memory != "" {
		removeAbandoned(memory)
		if inMemory && hasRoom(memory) {
			base = memory
		}
	}

	// It gets its name only when it is locked, so that nobody takes it for abandoned.
	unnamed, err := os.MkdirTemp(base, "new-"+directoryPrefix)
	if err != nil {
		return nil, err
	}
	d := &directory{path: filepath.Join(base, strings.TrimPrefix(filepath.Base(unnamed), "new-")), account: account}
	d.cluster = filepath.Join(d.path, "cluster")
	if err := d.fill(unnamed); err != nil {
		return nil, errors.Join(err, os.RemoveAll(unnamed))
	}
	if err := os.Rename(unnamed, d.path); err != nil {
		return nil, errors.Join(err, d.lock.Close(), os.RemoveAll(unnamed))
	}
	return d, nil
}

func (d *directory) fill(path string) error {
	if d.account != nil {
		// The account must get through to what is its own, and no further.
		if err := os.Chmod(path, 0o711); err != nil {
			return err
		}
	}
	cluster := filepath.Join(path, "cluster")
	if err := os.Mkdir(cluster, 0o700); err != nil {
		return err
	}
	if err := d.account.own(cluster); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(path, "owner"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := tryLock(lock); err != nil {
		return errors.Join(err, lock.Close())
	}
	d.lock = lock
	return nil
}

// remove may be called again.
func (d *directory) remove() error {
	err := os.RemoveAll(d.path)
	d.lock.Close()
	return err
}

// writeFile writes a file that only the account and we can read.
func (d *directory) writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return d.account.own(path)
}

func (d *directory) logPath() string { return filepath.Join(d.path, "server.log") }

func (d *directory) openLog() (*os.File, error) {
	return os.OpenFile(d.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// readLog returns the log from offset on.
func (d *directory) readLog(offset int64) string {
	f, err := os.Open(d.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	return string(b)
}

// temporaryBase is the system's directory for temporary files, or another where the
// account cannot get to that.
func temporaryBase(a *account) (string, error) {
	bases := []string{os.TempDir(), "/tmp", "/var/tmp"}
	for _, base := range bases {
		if a == nil || reachable(base) {
			return filepath.Abs(base)
		}
	}
	return "", fmt.Errorf("user %s cannot reach any of %s", a.name, strings.Join(bases, ", "))
}

// reachable tells whether everybody may pass through all of path.
func reachable(path string) bool {
	path, err := filepath.EvalSymlinks(path)
	if err != nil || !filepath.IsAbs(path) {
		return false
	}
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}

// removeAbandoned removes the directories of dead processes. A server that still
// runs in one notices within a minute that its lock file is gone, and ends. It is a
// courtesy to the machine: what fails is left for the next one.
func removeAbandoned(base string) {
	paths, _ := filepath.Glob(filepath.Join(base, directoryPrefix+"*"))
	for _, path := range paths {
		lock, abandoned := lockAbandoned(path)
		if !abandoned {
			continue
		}
		// The lock's file goes last: without it nobody could tell whose this was.
		if os.RemoveAll(filepath.Join(path, "cluster")) == nil {
			_ = os.RemoveAll(path)
		}
		lock.Close()
	}
}

// lockAbandoned locks a directory that is ours to remove. Everybody can make a
// directory of such a name in /tmp: what another user owns is not touched.
func lockAbandoned(path string) (*os.File, bool) {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return nil, false
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return nil, false
	}
	lock, err := os.OpenFile(filepath.Join(path, "owner"), os.O_RDWR, 0)
	if err != nil {
		return nil, false
	}
	if tryLock(lock) != nil {
		lock.Close()
		return nil, false
	}
	return lock, true
}

func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// ownerLives tells whether a process still holds the directory at path. In doubt
// it does.
func ownerLives(path string) bool {
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return false
	}
	lock, abandoned := lockAbandoned(path)
	if abandoned {
		lock.Close()
	}
	return !abandoned
}
