-- verbs: the functions that are for use from outside, one row each: what \df shows without what is internal. A stable contract for SELECT. Locks nothing.
--
--   select name, arguments, meaning from pgq.verbs where 'operator' = any(classes);
--
-- roles: producer, worker, operator, reader
create view verbs as
select p.proname::text as name,
       pg_get_function_arguments(p.oid) as arguments,
       pg_get_function_result(p.oid) as result,
       coalesce((select array_agg(r.class::text order by r.class) from rights r where r.object = p.proname), '{owner}') as classes,
       obj_description(p.oid, 'pg_proc') as meaning
from pg_proc p
where p.pronamespace = (select c.relnamespace from pg_class c where c.oid = 'jobs'::regclass)
  and p.prosecdef
  and p.proname <> all('{enqueue_one,enqueue_reserve,set_schedule_json,import_finish,import_reserve}'::text[]) -- of the Go client
  or p.oid = 'enqueue_trigger'::regproc;
comment on view verbs is 'The functions that are for use from outside.';
comment on column verbs.name is 'Its name; no two are named alike.';
comment on column verbs.arguments is 'Its arguments with their types and defaults; all can be given by name.';
comment on column verbs.result is 'What it returns.';
comment on column verbs.classes is 'Which classes of roles may call it (grant_role); owners may call all.';
comment on column verbs.meaning is 'What it does; pgq/sql has more.';
