package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq/migrations"
)

// newRole makes a role that is gone, with all that it has here, when the test ends.
func newRole(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	role := fmt.Sprintf("m%d_%s", time.Now().UnixNano(), name)
	mustExec(t, conn, "create role "+role)
	t.Cleanup(func() {
		for _, statement := range []string{"reset role", "drop owned by " + role + " cascade", "drop role " + role} {
			if _, err := conn.Exec(context.Background(), statement); err != nil {
				t.Error(statement, err)
			}
		}
	})
	return role
}

// as returns the URL for sessions that act as a role.
func as(t *testing.T, address, role string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	values := u.Query()
	values.Set("role", role)
	u.RawQuery = values.Encode()
	return u.String()
}

// A schema in which others can put functions would give them the rights of who migrates.
func TestASchemaThatIsNotTheMigratorsAloneIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given  string // %[1]s: the schema, %[2]s: another role
		want   string // of the error
		repair string
	}{
		"belongs to another role":        {"create schema %[1]s authorization %[2]s", "belongs to %[2]s", "alter schema %[1]s owner to current_user"},
		"belongs to who owns a database": {"create schema %[1]s authorization pg_database_owner", "belongs to pg_database_owner", "alter schema %[1]s owner to current_user"},
		"another role may create":        {"create schema %[1]s; grant create on schema %[1]s to %[2]s", "others than its owner may create objects in schema %[1]s: %[2]s", "revoke create on schema %[1]s from %[2]s"},
		"everybody may create":           {"create schema %[1]s; grant all on schema %[1]s to public", "others than its owner may create objects in schema %[1]s: public", "revoke create on schema %[1]s from public"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := pgtest.Empty(t)
			conn := connect(t, address)
			other := newRole(t, conn, "shop")
			fill := func(text, schema string) string {
				return strings.NewReplacer("%[1]s", pgx.Identifier{schema}.Sanitize(), "%[2]s", other).Replace(text)
			}
			for _, schema := range []string{"pgq", awkward} {
				mustExec(t, conn, fill(c.given, schema))
				o := migrations.Options{Schema: schema}
				want := strings.ReplaceAll(fill(c.want, schema), `"pgq"`, "pgq")
				_, planned := migrations.Plan(t.Context(), address, migrations.Latest(), o)
				for what, err := range map[string]error{
					"up": migrations.Up(t.Context(), address, o), "to": migrations.To(t.Context(), address, 1, o), "plan": planned,
				} {
					if !errors.Is(err, migrations.ErrSchemaRights) || !strings.Contains(err.Error(), want) {
						t.Errorf("%s of %s: %v; want %s", what, schema, err, want)
					}
				}
				if err := apply(t, conn, dump(t, 0, schema)); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("dump of %s: %v; want %s", schema, err, want)
				}
				if got := one[*string](t, conn, objects, pgx.Identifier{schema}.Sanitize()); got != nil {
					t.Errorf("schema %s holds %s", schema, *got)
				}
				mustExec(t, conn, fill(c.repair, schema))
				up(t, address, schema)
			}
		})
	}
}

// An update by another role than the owner would give that one's rights away; so would objects of others.
func TestAnUpdateIsMadeByTheOwnerOfTheSchema(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	conn := connect(t, address)
	owner, other := newRole(t, conn, "owner"), newRole(t, conn, "other")
	mustExec(t, conn, "create schema pgq authorization "+owner)
	if err := migrations.To(t.Context(), as(t, address, owner), 1, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), address, migrations.Options{}); !errors.Is(err, migrations.ErrSchemaRights) || !strings.Contains(err.Error(), "migrate as "+owner) {
		t.Error("as another role:", err)
	}
	if err := apply(t, conn, dump(t, 1, "pgq")); err == nil || !strings.Contains(err.Error(), "belongs to "+owner) {
		t.Error("the dump as another role:", err)
	}
	mustExec(t, conn, "create function pgq.cardinality(bigint[]) returns integer language sql as 'select 1'; alter function pgq.cardinality owner to "+other)
	if err := migrations.Up(t.Context(), as(t, address, owner), migrations.Options{}); !errors.Is(err, migrations.ErrSchemaRights) || !strings.Contains(err.Error(), "pgq.cardinality(bigint[])") {
		t.Error("beside a function of somebody else:", err)
	}
	mustExec(t, conn, "drop function pgq.cardinality")
	// Who is a member of the owner may migrate as that one.
	mustExec(t, conn, "grant "+owner+" to "+other)
	mustExec(t, conn, "set role "+owner)
	if err := apply(t, conn, dump(t, 1, "pgq")); err != nil {
		t.Error(err)
	}
	mustExec(t, conn, "reset role")
	if found := drift(t, address, "pgq"); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

// Default privileges can give others rights on a schema that is created by the migration.
func TestDefaultPrivilegesOnNewSchemasAreLookedAt(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	conn := connect(t, address)
	owner, other := newRole(t, conn, "owner"), newRole(t, conn, "other")
	mustExec(t, conn, "do $$ begin execute format('grant create on database %I to "+owner+"', current_database()); end $$")
	mustExec(t, conn, "alter default privileges for role "+owner+" grant create on schemas to "+other)
	if err := migrations.Up(t.Context(), as(t, address, owner), migrations.Options{}); !errors.Is(err, migrations.ErrSchemaRights) {
		t.Error(err)
	}
	mustExec(t, conn, "revoke create on schema pgq from "+other)
	up(t, as(t, address, owner), "")
}

// Rights that somebody gave later are found whenever rights are written.
func TestGrantsAreRefusedWhileOthersMayCreate(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Database(t))
	other := newRole(t, conn, "other")
	refused := func(want string) {
		t.Helper()
		for _, call := range []string{"select pgq.apply_grants()", "select pgq.grant_role('worker', '" + other + "')", dump(t, 2, "pgq")} {
			if err := apply(t, conn, call); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40s: %v; want %s", call, err, want)
			}
		}
	}
	mustExec(t, conn, "grant create on schema pgq to "+other)
	refused("others than its owner may create objects in schema pgq: " + other)
	mustExec(t, conn, "revoke create on schema pgq from "+other)
	mustExec(t, conn, "alter table pgq.signals owner to "+other)
	refused("pgq.signals")
	mustExec(t, conn, "alter table pgq.signals owner to current_user; alter schema pgq owner to "+other)
	refused("schema pgq belongs to " + other)
	mustExec(t, conn, "alter schema pgq owner to current_user")
	mustExec(t, conn, "select pgq.apply_grants()")
	mustExec(t, conn, "alter schema public rename to was_public; alter schema pgq rename to public")
	if err := apply(t, conn, "set search_path = public; select apply_grants()"); err == nil {
		t.Error("a schema that was renamed to public passes")
	}
}

// Whoever looks at a schema, be it only to see that it is not PGQ's, calls nothing that is in it.
func TestFunctionsOfAStrangersSchemaAreNotCalled(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	conn := connect(t, address)
	stranger := newRole(t, conn, "stranger")
	mustExec(t, conn, fmt.Sprintf(`create schema evil authorization %[1]s; create table heard (name text); grant insert on heard to public; set role %[1]s`, stranger))
	for _, function := range []string{"obj_description(o oid, t text) returns text", "format(t text, n name, m name, o name) returns text", "coalesce_(o oid) returns text",
		"max(b integer) returns bigint", "quote_ident(n name) returns text", "has_schema_privilege(o oid, t text) returns boolean"} {
		name, _, _ := strings.Cut(function, "(")
		mustExec(t, conn, fmt.Sprintf(`create function evil.%s language plpgsql as $$ begin insert into public.heard values ('%s'); return null; end $$`, function, name))
	}
	mustExec(t, conn, "create view evil.schema_migrations as select 1 as id, 1::bigint as version_id, evil.quote_ident('a') is null as is_applied, now()::timestamp as tstamp; reset role")
	o := migrations.Options{Schema: "evil"}
	if err := migrations.Up(t.Context(), address, o); !errors.Is(err, migrations.ErrForeignSchema) {
		t.Errorf("up: %v", err)
	}
	if _, err := migrations.Plan(t.Context(), address, migrations.Latest(), o); !errors.Is(err, migrations.ErrForeignSchema) {
		t.Errorf("plan: %v", err)
	}
	if _, err := migrations.Status(t.Context(), address, o); err == nil {
		t.Error("status: no error")
	}
	if err := migrations.Down(t.Context(), address, o); err == nil {
		t.Error("down: no error")
	}
	if heard := one[int](t, conn, "select count(*)::int from heard"); heard != 0 {
		t.Errorf("%d functions of the schema were called, %s first", heard, one[string](t, conn, "select min(name) from heard"))
	}
}
