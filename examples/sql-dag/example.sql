-- Submits a DAG from a trigger, in the transaction of the application: an order is checked, approved by a human, and then
-- shipped. A worker is played by SQL, too. It removes what it made.
\set QUIET on

create table example_sql_orders (id bigint generated always as identity primary key, item text not null);

create function example_fulfil() returns trigger language plpgsql as $$
begin
    perform pgq.dag_submit(jsonb_build_object(
        'name', 'fulfil', 'key', new.id::text, 'queue', 'example_sql_dag', 'output', 'ship',
        'nodes', jsonb_build_array(
            jsonb_build_object('name', 'check', 'kind', 'check', 'args', jsonb_build_object('item', new.item)),
            jsonb_build_object('name', 'approve', 'type', 'external', 'after', '["check"]'::jsonb),
            jsonb_build_object('name', 'ship', 'kind', 'ship', 'after',
                               '[{"node": "approve", "when": "$.approved == true"}]'::jsonb))));
    return null;
end
$$;
create trigger fulfil after insert on example_sql_orders for each row execute function example_fulfil();

-- A worker in SQL: claims a job, completes it with this result, and says so.
create function example_work(worker bigint, result jsonb) returns text language sql as $$
    with claimed as materialized (
        select * from pgq.claim(worker, '{example_sql_dag}', '{1}', '{check,ship}')
    )
    select format('worked on %s: %s', c.kind, c.args)
    from claimed c, pgq.complete(worker, array[c.job_id], array[c.attempt], array[result])
$$;
select pgq.register_worker('psql', '{example_sql_dag}', '{check,ship}') as worker \gset

-- The DAG exists exactly if the order does.
insert into example_sql_orders (item) values ('a book');
begin;
insert into example_sql_orders (item) values ('a mistake');
rollback;
select id as dag from pgq.dags where name = 'fulfil' and queue = 'example_sql_dag' \gset

select example_work(:worker, '"in stock"');
\echo the nodes:
select name, coalesce(role, 'job'), state from pgq.dag_nodes where dag_id = :dag order by job_id;
\echo why ship does not run:
select reason, detail from pgq.dag_explain(:dag, 'ship') where reason in ('parents', 'blocked');

-- The answer comes from anybody who may call the function.
select 'the answer: ' || pgq.dag_complete(:dag, 'approve', '{"approved": true}');
select example_work(:worker, '{"parcel": 7}');
select 'the DAG is ' || state || ', its result is ' || output from pgq.job_details where id = :dag;

-- Everything that is wrong is said at once, before anything is written.
\echo what is wrong with a DAG:
select node, field, rule from pgq.dag_problems(
    '{"name": "x", "nodes": [{"name": "a", "kind": "check", "after": ["b"]}, {"name": "c", "type": "sleep"}]}');

select pgq.retire_worker(:worker) \g /dev/null
select * from pgq.delete(array[:dag]) \g /dev/null
drop table example_sql_orders;
drop function example_fulfil, example_work;
