-- drop_gate(scope, name): takes away the gate of a queue, kind or group that has neither a limit nor a pause. Internal: resume_limit, set_limit, delete_limit. Locks: its row.
create function drop_gate(scope text, name text) returns void
language sql
as $$
    delete from gates g
    where g.scope = drop_gate.scope and g.name = drop_gate.name and coalesce(g.paused_until, '-infinity') <= clock_timestamp()
      and not exists (
          select from limits l where l.scope = g.scope and l.name = g.name
          union all
          select from limit_of(g.name) where g.scope = 'group')
$$;
comment on function drop_gate is 'Takes away the gate of what has neither a limit nor a pause.';
