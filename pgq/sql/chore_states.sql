-- chore_states: one row per chore that is done again and again: when that was last, and whether it is late, which means that
-- no worker does chores. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view chore_states as
select c.name,
       d.every,
       nullif(c.last_run_at, '-infinity') as last_run_at,
       statement_timestamp() - nullif(c.last_run_at, '-infinity') as age,
       coalesce(c.last_run_at < statement_timestamp() - d.every - interval '30 s', true) as late
from (values ('promote', interval '10 s'), ('rescue', interval '2 s'), ('prune', interval '10 s'), ('sweep', interval '1 hour')) d(name, every)
join chores c on c.name = d.name;
comment on view chore_states is 'One row per chore: when it was last done, and whether it is late.';
comment on column chore_states.name is 'promote (makes scheduled jobs ready), rescue (of dead workers), prune and sweep (delete what was kept long enough).';
comment on column chore_states.every is 'How often it is done while any worker lives.';
comment on column chore_states.last_run_at is 'When it was last done; null: never.';
comment on column chore_states.age is 'How long ago that was.';
comment on column chore_states.late is 'Whether it is late by more than 30 seconds, or was never done.';
