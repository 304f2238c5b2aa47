package source_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pgq-go/queue/pgq/migrations/source"
)

func files(texts map[string]string) fstest.MapFS {
	all := fstest.MapFS{}
	for name, text := range texts {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

func TestFunctionsComeBeforeViewsAndGoAfterThem(t *testing.T) {
	t.Parallel()
	text, err := source.Migration(files(map[string]string{
		"wide.sql":   "-- wide\ncreate view wide as select * from narrow;",
		"narrow.sql": "-- narrow\ncreate view narrow as select f();",
		"f.sql":      "-- f\ncreate function f() returns int language sql as $$ select 1 $$;",
		"notes.txt":  "not SQL",
	}))
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, part := range []string{"-- +goose Up", "create function f()", "create view narrow", "create view wide",
		"-- +goose Down", "drop view wide;", "drop view narrow;", "drop function f;"} {
		next := strings.Index(text, part)
		if next <= at {
			t.Errorf("%q is out of place in\n%s", part, text)
		}
		at = next
	}
	if strings.Contains(text, "not SQL") {
		t.Error("other files are taken in")
	}
}

func TestFilesThatAreNotOneDocumentedObjectAreRefused(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"f.sql: does not start with a comment":          "create function f() returns int",
		"f.sql: creates 0 functions and views, not one": "-- f\nselect 1;",
		"f.sql: creates 2 functions and views, not one": "-- f\ncreate function f()\ncreate function g()",
		"f.sql: creates g":                              "-- f\ncreate function g()",
		`f.sql: roles: "boss" is none of producer, worker, operator, reader, payloads, tenant, owner`: "-- f\n-- roles: reader, boss\ncreate function f() security definer set search_path from current",
		`f.sql: is for others than owners and not "security definer set search_path from current"`:    "-- f\n-- roles: reader\ncreate function f() set search_path from current",
	} {
		if _, err := source.Migration(files(map[string]string{"f.sql": text})); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTheHeadersOfTheFilesSayForWhomTheyAre(t *testing.T) {
	t.Parallel()
	text, err := source.Migration(files(map[string]string{
		"f.sql": "-- f\n-- roles: worker, reader\ncreate function f() returns int security definer set search_path from current as $$ select 1 $$;",
		"g.sql": "-- g\ncreate function g() returns int as $$ select 1 $$;",
		"h.sql": "-- h\n-- roles: owner\ncreate function h() returns int as $$ select 1 $$;",
		"v.sql": "-- v\n-- roles: reader\ncreate view v as select f();",
		"t.sql": "-- t\n-- roles: producer\ncreate function t() returns trigger set search_path from current as $$ begin end $$;",
	}))
	want := "insert into rights (object, class) values\n    ('f', 'reader'),\n    ('f', 'worker'),\n    ('t', 'producer'),\n    ('v', 'reader');\n" +
		"do $$ begin perform apply_grants(); end $$;\n"
	if err != nil || !strings.Contains(text, want) {
		t.Error(err, text)
	}
}
