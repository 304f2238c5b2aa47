-- Enqueues jobs from SQL: by hand, by a trigger in the transaction of the application, and works one off by the same
-- functions that the Go worker calls. It removes what it made.
\set QUIET on

create table example_customers (id bigint generated always as identity primary key, email text not null);

create function example_welcome() returns trigger language plpgsql as $$
begin
    perform pgq.enqueue('welcome', jsonb_build_object('customer', new.id), queue => 'example_sql');
    return null;
end
$$;
create trigger welcome after insert on example_customers for each row execute function example_welcome();

-- The trigger enqueues in the transaction that inserts: what is rolled back has no job.
insert into example_customers (email) values ('ada@example.com');
begin;
insert into example_customers (email) values ('nobody@example.com');
rollback;

-- By hand, with options.
select pgq.enqueue('report', '{"month": 5}', queue => 'example_sql', delay => '1 hour', tags => '{monthly}') > 0 as enqueued \gset
\if :enqueued
    \echo the jobs, one row each:
\endif
select kind, state, (select args from pgq.jobs j where j.id = s.id) as args
from pgq.job_states s where queue = 'example_sql' order by id;

-- A worker in SQL: register, claim, do the work, complete, retire.
select pgq.register_worker('psql', '{example_sql}', '{welcome}') as worker \gset
select job_id as job, attempt from pgq.claim(:worker, '{example_sql}', '{1}', '{welcome}') \gset
\echo claimed a job, attempt :attempt
select count(*) as completed from pgq.complete(:worker, array[:job], array[:attempt], array['{"sent": true}'::jsonb]) \gset
\echo completed :completed job
select pgq.retire_worker(:worker) \g /dev/null

-- What waits can be cancelled.
select 'report: ' || outcome
from pgq.cancel(array(select id from pgq.job_states where queue = 'example_sql' and kind = 'report'), 'not needed');
\echo afterwards:
select kind, state from pgq.job_states where queue = 'example_sql' order by id;

select * from pgq.delete(array(select id from pgq.jobs where queue = 'example_sql')) \g /dev/null
drop table example_customers;
drop function example_welcome;
