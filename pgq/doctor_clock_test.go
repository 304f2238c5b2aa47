package pgq

import (
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestClocksThatAreFarApartAreFound(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for _, c := range []struct {
		off  time.Duration
		want string
	}{{0, ""}, {time.Minute, "ahead of"}, {-time.Hour, "behind"}} {
		found, err := clockSkew(t.Context(), pool, 5*time.Second, func() time.Time { return time.Now().Add(c.off) })
		if err != nil || len(found) != map[bool]int{true: 1}[c.want != ""] {
			t.Errorf("%s: %+v %v", c.off, found, err)
		}
		if len(found) > 0 && (found[0].Name != "clock_skew" || found[0].Severity != Warning || !strings.Contains(found[0].Meaning, c.want)) {
			t.Errorf("%+v", found)
		}
	}
}
