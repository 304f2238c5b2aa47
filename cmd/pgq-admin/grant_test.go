package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestGrantRevokeAndGrantsSayWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	role := fmt.Sprintf("shop %d \u202e\"x", time.Now().UnixNano())
	quoted := `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
	if _, err := conn.Exec(t.Context(), "create role "+quoted); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) outcome { return admin(t, append(args, "--url", url)...) }

	run("grants").want(t, 0, "owner")
	granted := run("grant", "producer", role, "--queue", "mail", "--queue", "it's; drop table")
	granted.want(t, 0, "is producer of schema pgq, queues mail, it's; drop table")
	granted.hides(t, "\u202e")
	run("grant", "reader", role, "--payloads").want(t, 0, "is reader of schema pgq, payloads")
	run("grants", "-o", "csv", "--columns", "class,queues,payloads").want(t, 0, "producer,", "reader,,true")
	run("grants", "-o", "json").want(t, 0, `"it's; drop table"`)
	run("revoke", "producer", role, "--queue", "news").want(t, 3, "was not granted producer, queues news", "fix: pgq-admin grants")
	run("revoke", "producer", role, "--queue", "mail").want(t, 0, "taken from role")
	run("revoke", "producer", role).want(t, 0)
	run("revoke", "reader", role).want(t, 0)
	run("grants").hides(t, "producer")
	if _, err := conn.Exec(t.Context(), "drop role "+quoted); err != nil {
		t.Error("the role has something left: ", err)
	}
	for _, wrong := range []struct {
		args string
		text string
	}{
		{"grant", "needs CLASS"},
		{"grant producer", "needs ROLE"},
		{"grant boss postgres", "class must be producer, worker, operator, reader or owner"},
		{"grant worker postgres", "owns the schema"},
		{"grant worker postgres --queue=", "--queue must name something"},
		{"grant worker pg_monitor --queue q", "queues must be null"},
		{"grant producer pg_monitor --tenant q", "tenants must be null"},
		{"grant operator pg_monitor --payloads", "payloads must be false"},
		{"grant owner pg_monitor", "superuser"},
		{"grants all", "takes no arguments"},
	} {
		run(strings.Fields(wrong.args)...).want(t, 2, wrong.text)
	}
	run("grant", "worker", "no-such-role").want(t, 3, `there is no role "no-such-role"`, `create it with psql: create role "no-such-role" login;`)
	run("revoke", "worker", "no-such-role").want(t, 3, `there is no role "no-such-role"`, "pgq-admin grants shows")
	run("grant", "reader", "public").want(t, 3, "nothing is granted to PUBLIC; name roles one by one")
}
