package pgq_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// orders is a table with a trigger: when and how often it fires, transition tables included, and its options.
func orders(when, options string) string {
	return fmt.Sprintf(`create temp table orders (id bigint primary key, total numeric, "odd, name" text);
		create trigger placed after %s execute function enqueue_trigger(%s); `, when, options)
}

// Numbers that a float64 does not hold.
const bigOrders = `insert into orders values (9007199254740993, 0.1234567890123456789012, E'"quoted",\n%s ` + "\u202e" + `'), (2, 'NaN', null); `

func TestEnqueueTriggerForEachRowCases(t *testing.T) {
	t.Parallel()
	const (
		insert = "insert on orders for each row"
		all    = "insert or update or delete on orders for each row"
		args   = "select args from jobs order by id"
	)
	verbTest(t, []verbCase{
		{name: "the whole row", given: orders(insert, "'kind=placed'") + bigOrders, call: args,
			want: `("{""id"": 9007199254740993, ""total"": 0.1234567890123456789012, ""odd, name"": ""\\""quoted\\"",\\n%s ` + "\u202e" + `""}") ("{""id"": 2, ""total"": ""NaN"", ""odd, name"": null}")`},
		{name: "some columns", given: orders(insert, `'kind=placed', 'columns=id, "odd, name"'`) + "insert into orders values (1, 2, 'x')", call: args,
			want: `("{""id"": 1, ""odd, name"": ""x""}")`},
		{name: "all options", given: orders(insert, `'kind=placed', 'queue=mail', 'priority=2', 'delay=5 min', 'max_attempts=3', 'timeout=1 min', 'ttl=1 day', 'result_ttl=1 h', ' tags = a, b '`) + "insert into orders values (1)",
			call: "select j.queue, kind, priority, max_attempts, timeout, expires_at - now() as ttl, result_ttl, tags, run_at - now() as delay from jobs j join scheduled s on s.job_id = j.id",
			want: `(mail,placed,2,3,00:01:00,"1 day",01:00:00,"{a,b}",00:05:00)`},
		{name: "groups and sequences by column", given: orders(insert, `'kind=placed', 'group=shop/{total}', 'sequence={odd, name}-{id}', 'on_failure=skip'`) + "insert into orders values (1, 2, 'x'), (2, null, null)",
			call: "select group_name, sequence, on_failure from jobs order by id", want: "(shop/2,x-1,skip) (shop/,-2,skip)"},
		{name: "metadata and unique keys", given: orders(insert, `'kind=placed', 'metadata={"tenant": "{id}"}', 'unique_key=order/{total}'`) + "insert into orders values (1, 2), (2, 2), (3, 4)",
			call: "select args -> 'id' as id, metadata, unique_key from jobs order by id", want: `(1,"{""tenant"": ""{id}""}",*2) (3,"{""tenant"": ""{id}""}",*4)`},
		{name: "a value with an equals sign", given: orders(insert, "'kind=a=b'") + "insert into orders values (1)", call: "select kind from jobs", want: "(a=b)"},
		{name: "an update has the row as it is now", given: "insert into queues (name) values ('q'); " + orders(all, "'kind=changed', 'columns=total'") + "insert into orders values (1, 2); update orders set total = 3; delete from orders", call: args,
			want: `("{""total"": 2}") ("{""total"": 3}") ("{""total"": 3}")`},
		{name: "changes", given: orders(all, "'kind=changed', 'columns=id,total', 'args=change'") + "insert into orders values (1, 2); update orders set total = 3; delete from orders", call: args,
			want: `("{""op"": ""insert"", ""new"": {""id"": 1, ""total"": 2}, ""old"": null}") ("{""op"": ""update"", ""new"": {""id"": 1, ""total"": 3}, ""old"": {""id"": 1, ""total"": 2}}") ("{""op"": ""delete"", ""new"": null, ""old"": {""id"": 1, ""total"": 3}}")`},
		{name: "when", given: orders(insert+" when (new.total > 5)", "'kind=large'") + "insert into orders values (1, 5), (2, 6)", call: "select args -> 'id' as id from jobs", want: "(2)"},
		{name: "update of", given: orders("update of total on orders for each row", "'kind=changed'") + `insert into orders values (1); update orders set "odd, name" = 'x'; update orders set total = 1`, call: "select count(*) from jobs", want: "(1)"},
		{name: "no rows", given: orders(insert, "'kind=placed'") + "insert into orders select 1 where false", call: "select count(*) from jobs", want: "(0)"},
		{name: "a full queue refuses the row", given: orders(insert, "'kind=placed'") + "select set_queue('default', max_depth => 1)", call: "insert into orders values (1), (2) returning id", want: `PQ002 queue "default" is full*`},
		{name: "rows that are args that are too large", given: orders(insert, "'kind=placed'") + "select set_queue('default', max_args_bytes => 100)", call: "insert into orders values (1, 2, repeat(md5('x'), 10)) returning id", want: "PQ001 args must be at most 100 bytes"},
	})
}

func TestEnqueueTriggerForEachStatementCases(t *testing.T) {
	t.Parallel()
	const (
		insert = "insert on orders referencing new table as placed for each statement"
		update = `update on orders referencing new table as jobs old table as "o'""ld" for each statement`
		args   = "select args from jobs order by id"
	)
	verbTest(t, []verbCase{
		{name: "the whole row", given: orders(insert, "'kind=placed'") + bigOrders, call: args,
			want: `("{""id"": 9007199254740993, ""total"": 0.1234567890123456789012, ""odd, name"": ""\\""quoted\\"",\\n%s ` + "\u202e" + `""}") ("{""id"": 2, ""total"": ""NaN"", ""odd, name"": null}")`},
		{name: "some columns, as one run", given: orders(insert, `'kind=placed', 'columns="odd, name",id'`) + "insert into orders select i, i, 'x' from generate_series(1, 3) i", call: args,
			want: `("{""id"": 1, ""odd, name"": ""x""}") ("{""id"": 2, ""odd, name"": ""x""}") ("{""id"": 3, ""odd, name"": ""x""}")`, then: "select size from ready", is: "(3)"},
		{name: "all options", given: orders(insert, `'kind=placed', 'queue=mail', 'priority=2', 'delay=5 min', 'max_attempts=3', 'timeout=1 min', 'ttl=1 day', 'result_ttl=1 h', 'tags=a, b'`) + "insert into orders values (1)",
			call: "select j.queue, kind, priority, max_attempts, timeout, expires_at - now() as ttl, result_ttl, tags, run_at - now() as delay from jobs j join scheduled s on s.job_id = j.id",
			want: `(mail,placed,2,3,00:01:00,"1 day",01:00:00,"{a,b}",00:05:00)`},
		{name: "groups and sequences by column", given: orders(insert, `'kind=placed', 'columns=id,total', 'group=shop/{total}', 'sequence={id}'`) + "insert into orders values (1, 2, 'x'), (2, 3, null)",
			call: "select group_name, sequence from jobs order by id", want: "(shop/2,1) (shop/3,2)"},
		{name: "metadata and unique keys", given: orders(insert, `'kind=placed', 'metadata={"tenant": "{id}"}', 'unique_key=order/{total}'`) + "insert into orders values (1, 2), (2, 2), (3, 4)",
			call: "select args -> 'id' as id, metadata, unique_key from jobs order by id", want: `(1,"{""tenant"": ""{id}""}",*2) (3,"{""tenant"": ""{id}""}",*4)`},
		{name: "more rows than fit into one batch", given: orders(insert, "'kind=placed', 'columns=id'") + "insert into orders select i from generate_series(1, 10001) i", call: "select count(*), count(distinct args) as d from jobs", want: "(10001,10001)"},
		{name: "no rows", given: orders(insert, "'kind=placed'") + "insert into orders select 1 where false", call: "select count(*) from jobs", want: "(0)"},
		{name: "an update", given: orders(update, "'kind=changed', 'columns=total'") + "insert into orders values (1, 2); update orders set total = 3", call: args, want: `("{""total"": 3}")`},
		{name: "changes by the primary key", given: orders(update, "'kind=changed', 'columns=total', 'args=change'") + "insert into orders values (1, 2), (3, 4); update orders set total = total + 1, id = case id when 3 then 5 else id end",
			call: "select args from jobs order by args -> 'new' ->> 'total' collate \"C\"",
			want: `("{""op"": ""update"", ""new"": {""total"": 3}, ""old"": {""total"": 2}}") ("{""op"": ""update"", ""new"": {""total"": 5}, ""old"": null}") ("{""op"": ""update"", ""new"": null, ""old"": {""total"": 4}}")`},
		{name: "a delete", given: orders("delete on orders referencing old table as o for each statement", "'kind=gone'") + "insert into orders values (1), (2); delete from orders", call: "select args -> 'id' as id from jobs order by id", want: "(1) (2)"},
		{name: "a column with the name of an alias", given: `create temp table orders (n int primary key, o int); create trigger t after insert on orders referencing new table as n for each statement execute function enqueue_trigger('kind=a'); insert into orders values (1, 2)`, call: args,
			want: `("{""n"": 1, ""o"": 2}")`},
		{name: "without transition tables", given: orders("insert on orders for each statement", "'kind=a'"), call: "insert into orders values (1) returning id", want: "PQ001 placed must have transition tables of the rows"},
		{name: "without the old one", given: orders("update on orders referencing new table as n for each statement", "'kind=a', 'args=change'"), call: "update orders set total = 1 returning id", want: "PQ001 placed must have transition tables of the rows, the old and the new, and the table a primary key"},
		{name: "changes without a primary key", given: orders(update, "'kind=a', 'args=change'") + "alter table orders drop constraint orders_pkey", call: "update orders set total = 1 returning id", want: "PQ001 placed must have * a primary key"},
		{name: "a full queue refuses the statement", given: orders(insert, "'kind=placed'") + "select set_queue('default', max_depth => 1)", call: "insert into orders values (1), (2) returning id", want: `PQ002 queue "default" is full*`},
	})
}

func TestEnqueueTriggerConditionCases(t *testing.T) {
	t.Parallel()
	const (
		all   = "insert or update or delete on orders for each row"
		added = "insert on orders referencing new table as placed for each statement"
		set   = "update on orders referencing new table as n old table as o for each statement"
		gone  = "delete on orders referencing old table as o for each statement"
		large = "'kind=large', 'columns=id', 'condition=total > 5'"
		rows  = "insert into orders values (1, 5), (2, 6), (3, null), (4, 7); "
		ids   = "select args -> 'id' as id from jobs order by id"
		jump  = "'kind=jump', 'columns=id', 'args=change', 'condition=new.total > 2 * old.total or old.id is null or new.id is null'"
		jumps = rows + "update orders set total = total * case id when 2 then 3 else 2 end; delete from orders where id > 2; "
		ops   = "select args ->> 'op' as op, coalesce(args #> '{new,id}', args #> '{old,id}') as id from jobs order by jobs.id"
	)
	verbTest(t, []verbCase{
		{name: "of a row", given: orders("insert on orders for each row", large) + rows, call: ids, want: "(2) (4)"},
		{name: "of the row that is deleted", given: orders("delete on orders for each row", large) + rows + "delete from orders", call: ids, want: "(2) (4)"},
		{name: "of the rows of a statement", given: orders(added, large) + rows, call: ids, want: "(2) (4)"},
		{name: "of those that a statement deletes", given: orders(gone, large) + rows + "delete from orders", call: ids, want: "(2) (4)"},
		{name: "of those that it updates, as they are now", given: orders(set, large) + rows + "update orders set total = total + 1", call: ids, want: "(1) (2) (4)"},
		{name: "of columns that are not among the args, by their odd names", given: orders(all, `'kind=a', 'columns=id', 'condition="odd, name" like ''%x'' -- and more'`) + "insert into orders values (1, 1, 'ax'), (2, 2, 'b')", call: ids, want: "(1)"},
		{name: "of changes of rows", given: orders(all, jump) + jumps, call: ops, want: "(insert,1) (insert,2) (insert,3) (insert,4) (update,2) (delete,3) (delete,4)"},
		{name: "of changes of a statement", given: orders(set, jump) + jumps, call: ops, want: "(update,2)"},
		{name: "of what a statement inserts, as changes", given: orders(added, jump) + jumps, call: ops, want: "(insert,1) (insert,2) (insert,3) (insert,4)"},
		{name: "of what it deletes, as changes", given: orders(gone, jump) + jumps, call: ops, want: "(delete,3) (delete,4)"},
		{name: "where a key changes there are halves", given: orders(set, "'kind=a', 'columns=id', 'args=change', 'condition=old.id is null'") + "insert into orders values (1); update orders set id = 2", call: "select args from jobs",
			want: `("{""op"": ""update"", ""new"": {""id"": 2}, ""old"": null}")`},
		{name: "with a function by its schema", given: "create function public.pgq_is_large(numeric) returns boolean language sql as 'select $1 > 5'; " + orders(all, "'kind=a', 'columns=id', 'condition=public.pgq_is_large(total)'") + rows, call: ids, want: "(2) (4)"},
		{name: "true of none", given: orders(added, "'kind=a', 'condition=false'") + rows, call: "select count(*) from jobs", want: "(0)"},
		{name: "columns that are called like the rows", given: `create temp table orders (new int primary key, old int); create trigger t after insert or update on orders for each row execute function enqueue_trigger('kind=a', 'args=change', 'condition=new.old > 1');
			insert into orders values (1, 2), (2, 1)`, call: "select args -> 'new' as new from jobs", want: `("{""new"": 1, ""old"": 2}")`},
		{name: "columns that are called like the rows, of a statement", given: `create temp table orders (new int primary key, old int); create trigger t after insert on orders referencing new table as n for each statement execute function enqueue_trigger('kind=a', 'condition=old > 1');
			insert into orders values (1, 2), (2, 1)`, call: "select args from jobs", want: `("{""new"": 1, ""old"": 2}")`},
	})
	refused := []verbCase{
		{name: "of which row", given: orders(all, "'kind=a', 'args=change', 'condition=total > 5'"), call: "insert into orders values (1, 7) returning id", want: `PQ001 condition cannot be evaluated: column reference "total" is ambiguous`},
		{name: "what enqueueing refuses is not the condition's fault", given: orders(added, "'kind=a', 'queue=*', 'condition=total > 5'"), call: "insert into orders values (1, 7) returning id", want: "PQ001 *queue must not be *"},
	}
	for condition, want := range map[string]string{
		"totl > 5":                  "cannot be evaluated: column \"totl\" does not exist",
		"total >":                   "cannot be evaluated: syntax error *",
		"1 / (total - total) > 1":   "cannot be evaluated: division by zero",
		"total":                     "cannot be evaluated: argument of WHERE must be type boolean, not type numeric",
		"count(*) > 1":              "cannot be evaluated: aggregate functions are not allowed in WHERE",
		"generate_series(1, 2) > 1": "cannot be evaluated: set-returning functions are not allowed in WHERE",
		"(select v from generate_series(1, 2) v) = total": "cannot be evaluated: more than one row *",
		"pgq_nowhere(total)":                              "cannot be evaluated: function pgq_nowhere(numeric) does not exist",
		"old.total > 5":                                   "cannot be evaluated: missing FROM-clause entry for table \"old\"",
		"":                                                "must not be empty",
	} {
		for _, when := range []string{"insert on orders for each row", added} {
			refused = append(refused, verbCase{name: condition + ", " + when, given: orders(when, "'kind=a', 'condition="+condition+"'"), call: "insert into orders values (1, 7) returning id", want: "PQ001 condition " + want})
		}
	}
	verbTest(t, refused)
}

// Whoever changes the row evaluates the condition, and needs the rights for it.
func TestAConditionOfATriggerHasTheRightsOfWhoeverChangesTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.session()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.Background()) //nolint:errcheck // roles are of the server
	_, err = tx.Exec(t.Context(), `create role pgq_trigger_test; select grant_role('producer', 'pgq_trigger_test');
		create table public.secrets (id int); create table public.orders (id int primary key, total numeric); grant insert on public.orders to pgq_trigger_test;
		create trigger t after insert on public.orders for each row execute function enqueue_trigger('kind=a', 'condition=not exists (select from public.secrets)');
		create trigger u after insert on public.orders for each row execute function enqueue_trigger('kind=b', 'condition=current_user = ''pgq_trigger_test'' ');
		alter table public.orders disable trigger t; set local role pgq_trigger_test; insert into public.orders values (1, 2); reset role`, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	if kinds := one[string](t, tx, "select string_agg(kind, ',') from jobs"); kinds != "b" {
		t.Errorf("jobs of kind %s", kinds)
	}
	_, err = tx.Exec(t.Context(), "alter table public.orders enable trigger t; set local role pgq_trigger_test; insert into public.orders values (2, 2)", pgx.QueryExecModeSimpleProtocol)
	if got := refusal(err); got != "PQ001 condition cannot be evaluated: permission denied for table secrets" {
		t.Error(got)
	}
}

func TestEnqueueTriggerOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	const known = "which are kind, columns, args, condition, queue, priority, delay, max_attempts, timeout, ttl, result_ttl, tags, metadata, group, sequence, on_failure, unique_key"
	var cases []verbCase
	for options, want := range map[string]string{
		"":                                 "kind must be given",
		"'queue=q'":                        "kind must be given",
		"'kind'":                           "kind must be given as name=value",
		"''":                               " must be given as name=value",
		"'kind=a', 'colour=red'":           "colour is not an option of enqueue_trigger, " + known,
		"'kind=a', E'x''\"%s\\n=1'":        "x'\"%s\n is not an option of enqueue_trigger, " + known,
		"'kind=a', 'kind=a'":               "kind must be given once",
		"'kind='":                          "kind must not be empty",
		"'kind=a', 'queue=*'":              `queue must not be "*", which stands for the defaults of all queues`,
		"'kind=a', 'columns=id,nothing%s'": `columns names "nothing%s", which *orders does not have`,
		"'kind=a', 'columns=ctid'":         `columns names "ctid", which *orders does not have`,
		"'kind=a', 'args=both'":            "args must be row or change",
		"'kind=a', 'group={shop}'":         `group names "shop", which is not one of its columns`,
		"'kind=a', 'columns=id', 'sequence={total}'": `sequence names "total", which is not one of its columns`,
		"'kind=a', 'priority=high'":                  "priority must be a whole number",
		"'kind=a', 'priority=12'":                    "priority must be 0 to 9",
		"'kind=a', 'max_attempts=-1'":                "max_attempts must be a whole number",
		"'kind=a', 'delay=soon'":                     "delay cannot be read as interval",
		"'kind=a', 'delay=-1 s'":                     "delay must not be negative",
		"'kind=a', 'timeout=99999999999 y'":          "timeout cannot be read as interval",
		"'kind=a', 'ttl=0'":                          "ttl must be positive",
		"'kind=a', 'metadata={x'":                    "metadata cannot be read as JSON",
		"'kind=a', 'metadata=[1]'":                   "metadata must be *",
		"'kind=a', 'unique_key={shop}'":              `unique_key names "shop", which is not one of its columns`,
		"'kind=a', 'unique_key={total}'":             "unique.key must be a text of 1 to 450 characters",
	} {
		cases = append(cases, verbCase{name: options, given: orders("insert on orders for each row", options), call: "insert into orders values (1) returning id", want: "PQ001 " + want})
	}
	for when, call := range map[string]string{
		"create trigger t before insert on orders for each row execute function enqueue_trigger('kind=a')":                                                                                        "insert into orders values (1) returning id",
		"create trigger t after truncate on orders for each statement execute function enqueue_trigger('kind=a'); create function pg_temp.empty() returns void language sql as 'truncate orders'": "select pg_temp.empty()",
	} {
		cases = append(cases, verbCase{name: when, given: "create temp table orders (id int); " + when, call: call, want: "PQ001 t must be a trigger after insert, update or delete"})
	}
	verbTest(t, cases)
}

func TestATriggerForEachStatementLeavesNoCursorOpen(t *testing.T) {
	t.Parallel()
	const world = `create table visits (id bigint primary key, page text);
		create trigger plain after insert on visits referencing new table as added for each statement execute function enqueue_trigger('kind=a', 'columns=id');
		create trigger even after insert on visits referencing new table as added for each statement execute function enqueue_trigger('kind=b', 'columns=id', 'condition=id % 2 = 0');
		insert into visits select i from generate_series(1, 3) i; insert into visits select i from generate_series(4, 10006) i; insert into visits values (0, '')`
	verbTest(t, []verbCase{
		{name: "after some statements", given: world, call: "select count(*) from pg_cursors where name like '<unnamed%'", want: "(0)",
			then: "select kind, count(*) from jobs group by 1 order by 1", is: "(a,10007) (b,5004)"},
	})
}
