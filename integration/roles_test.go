package integration

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
)

// estate is a database in which PGQ belongs to a role that is no superuser, and roles to which classes are granted.
type estate struct {
	*testing.T
	url    string
	pool   *pgxpool.Pool // as superuser
	owner  string
	prefix string
	q      *pgq.Client
}

func newEstate(t *testing.T, schema string) *estate {
	t.Helper()
	address := pgtest.Empty(t)
	e := &estate{T: t, url: address, pool: connect(t, address), prefix: fmt.Sprintf("r%d_", time.Now().UnixNano()), q: pgq.New(pgq.Config{Schema: schema})}
	e.owner = e.role("owner")
	e.exec(e.pool, "grant create, temporary on database "+e.database()+" to "+e.owner)
	e.migrate(schema, e.owner)
	return e
}

// database returns the name of the database, quoted.
func (e *estate) database() string {
	return pgx.Identifier{e.pool.Config().ConnConfig.Database}.Sanitize()
}

// migrate installs PGQ in a schema that belongs to a role.
func (e *estate) migrate(schema, owner string) {
	e.Helper()
	u, err := url.Parse(e.url)
	e.must(err)
	values := u.Query()
	values.Set("role", owner)
	u.RawQuery = values.Encode()
	e.must(migrations.Up(e.Context(), u.String(), migrations.Options{Schema: schema}))
}

// role makes a role that can log in and has nothing. It is dropped, with what it has in this database, when the test ends.
func (e *estate) role(name string) string {
	e.Helper()
	role := e.prefix + name
	e.exec(e.pool, "create role "+role+" login")
	e.Cleanup(func() {
		_, err := e.pool.Exec(context.Background(), "drop owned by "+role+" cascade")
		if err == nil {
			_, err = e.pool.Exec(context.Background(), "drop role "+role)
		}
		if err != nil {
			e.Error(err)
		}
	})
	return role
}

// granted makes a role of a class.
func (e *estate) granted(name string, g pgq.Grant) string {
	e.Helper()
	g.Role = e.role(name)
	e.must(e.q.Grant(e.Context(), e.as(e.owner), g))
	return g.Role
}

// as returns a pool whose sessions are those of a role.
func (e *estate) as(role string) *pgxpool.Pool {
	e.Helper()
	config := e.pool.Config()
	config.MaxConns = 6
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set session authorization "+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	e.must(err)
	e.Cleanup(pool.Close)
	return pool
}

func (e *estate) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *estate) exec(db pgq.DB, statement string, args ...any) {
	e.Helper()
	if _, err := db.Exec(e.Context(), statement, args...); err != nil {
		e.Fatalf("%s: %v", statement, err)
	}
}

// refused runs a statement that must be refused for want of a right.
func (e *estate) refused(db pgq.DB, statement string, args ...any) {
	e.Helper()
	if _, err := db.Exec(e.Context(), statement, args...); sqlState(err) != "42501" {
		e.Errorf("%s: %v; want it refused", statement, err)
	}
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func value[T any](t *testing.T, db pgq.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// thing is an object of the schema, and for whom it is declared.
type thing struct {
	name, kind, call string
	classes          []string
	folded           bool // called like this it is not reached, allowed or not
}

// things returns all functions, views, tables and sequences. Functions are called with null for each argument.
func (e *estate) things() []thing {
	e.Helper()
	rows, err := e.pool.Query(e.Context(), `
		select p.proname::text, 'function',
		       format('select * from pgq.%I(%s)', p.proname, (
		           select string_agg('null::' || case t when 'anyelement'::regtype then 'integer' else format_type(t, null) end, ', ' order by n) from unnest(p.proargtypes) with ordinality a(t, n))),
		       array(select class from pgq.rights where object = p.proname), p.proisstrict or p.prorettype = 'trigger'::regtype
		from pg_proc p where p.pronamespace = 'pgq'::regnamespace
		union all
		select c.relname, case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, '',
		       array(select class from pgq.rights where object = c.relname), false
		from pg_class c where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('v', 'r', 'S', 'm', 'p', 'f')
		order by 2, 1`)
	e.must(err)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o thing, err error) {
		err = row.Scan(&o.name, &o.kind, &o.call, &o.classes, &o.folded)
		return o, err
	})
	e.must(err)
	return all
}

// denied tells whether PostgreSQL itself refuses a statement: not the function, which may have reasons of its own.
func denied(ctx context.Context, conn *pgxpool.Pool, statement string) bool {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local statement_timeout = '20s'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, statement)
		return errors.Join(err, errRollback)
	})
	return sqlState(err) == "42501" && strings.Contains(err.Error(), "permission denied for ")
}

var errRollback = errors.New("rolled back on purpose")

// The matrix: every class and every object of the schema, what is allowed and what is refused, in sessions of that class.
func TestEveryRoleMayDoWhatIsDeclaredAndNothingElse(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	roles := map[string][]string{ // with the classes in the declarations that each has
		e.granted("producer", pgq.Grant{Class: pgq.Producer}):                             {"producer"},
		e.granted("worker", pgq.Grant{Class: pgq.WorkerClass}):                            {"worker"},
		e.granted("operator", pgq.Grant{Class: pgq.Operator}):                             {"operator"},
		e.granted("reader", pgq.Grant{Class: pgq.Reader}):                                 {"reader"},
		e.granted("payloads", pgq.Grant{Class: pgq.Reader, Payloads: true}):               {"reader", "payloads"},
		e.granted("tenant", pgq.Grant{Class: pgq.Reader, Tenants: []string{"acme"}}):      {"tenant"},
		e.granted("limited", pgq.Grant{Class: pgq.Producer, Queues: []string{"a queue"}}): {"producer"},
		e.role("nobody"): nil,
	}
	things := e.things()
	for role, classes := range roles {
		t.Run(strings.TrimPrefix(role, e.prefix), func(t *testing.T) {
			t.Parallel()
			db := e.as(role)
			allowed := 0
			for _, o := range things {
				want := slices.ContainsFunc(o.classes, func(class string) bool { return slices.Contains(classes, class) })
				if want {
					allowed++
				}
				checkThing(t, db, o, want, classes != nil)
			}
			if (allowed > 0) != (classes != nil) {
				t.Errorf("%d objects are allowed", allowed)
			}
		})
	}
}

// checkThing compares what a session may do with an object with what is declared.
func checkThing(t *testing.T, db *pgxpool.Pool, o thing, want, member bool) {
	t.Helper()
	ctx := context.Background()
	switch o.kind {
	case "function":
		if got := !denied(ctx, db, o.call); got != want && (want || !o.folded) {
			t.Errorf("%s: allowed %v, declared %v", o.call, got, want)
		}
		if got := value[bool](t, db, `select bool_or(has_function_privilege(p.oid, 'execute') and has_schema_privilege(p.pronamespace, 'usage'))
			from pg_proc p where p.proname = $1 and p.pronamespace = (select oid from pg_namespace where nspname = 'pgq')`, o.name); got != want {
			t.Errorf("%s: has the right %v, declared %v", o.name, got, want)
		}
	case "sequence":
		for _, statement := range []string{"select nextval('pgq.%s')", "select last_value from pgq.%s", "select setval('pgq.%s', 1)"} {
			if !denied(ctx, db, fmt.Sprintf(statement, o.name)) {
				t.Errorf(statement+" is allowed", o.name)
			}
		}
	default:
		readable := want || o.name == "schema_migrations" && member
		if got := !denied(ctx, db, "select * from pgq."+o.name+" limit 1"); got != readable {
			t.Errorf("select from %s %s: allowed %v, declared %v", o.kind, o.name, got, readable)
		}
		for _, statement := range []string{
			"insert into pgq.%s default values", "delete from pgq.%s", "truncate pgq.%s", "lock table pgq.%s in share mode", "drop view pgq.%s",
			"create rule r as on select to pgq.%s do instead nothing", "create trigger t after insert on pgq.%s execute function pgq.enqueue_trigger('kind=k')",
		} {
			if _, err := db.Exec(ctx, fmt.Sprintf(statement, o.name)); err == nil {
				t.Errorf(statement+" is allowed", o.name)
			}
		}
	}
}

func TestPublicHasNothingAndDefinersArePinned(t *testing.T) {
	t.Parallel()
	e := newEstate(t, "pgq")
	for what, query := range map[string]string{
		"functions for PUBLIC": `select coalesce(string_agg(proname, ' '), '') from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
			where p.pronamespace = 'pgq'::regnamespace and a.grantee = 0`,
		"relations for PUBLIC": `select coalesce(string_agg(relname, ' '), '') from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'pgq'::regnamespace and a.grantee = 0`,
		"schema for PUBLIC":    `select coalesce(string_agg(nspname, ' '), '') from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = 'pgq' and a.grantee = 0`,
		"definers that look for names elsewhere": `select coalesce(string_agg(proname, ' '), '') from pg_proc p
			where p.pronamespace = 'pgq'::regnamespace and p.prosecdef and not coalesce('search_path=pgq, pg_temp' = any(replace(p.proconfig::text, '\"', '')::text[]), false)`,
		"functions for others that are neither definers nor triggers": `select coalesce(string_agg(proname, ' '), '') from pg_proc p
			where p.pronamespace = 'pgq'::regnamespace and not p.prosecdef and p.prorettype <> 'trigger'::regtype and p.proname in (select object from pgq.rights)`,
		"declared, but not there": `select coalesce(string_agg(object, ' '), '') from pgq.rights r
			where not exists (select from pg_proc where proname = r.object and pronamespace = 'pgq'::regnamespace) and to_regclass('pgq.' || r.object) is null`,
	} {
		if got := value[string](t, e.pool, query); got != "" {
			t.Errorf("%s: %s", what, got)
		}
	}
}
