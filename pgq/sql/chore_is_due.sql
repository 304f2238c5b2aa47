-- chore_is_due(name, every): whether a chore was last done that long ago; if so it counts as done now.
-- Internal: do_chores, under its advisory lock.
create function chore_is_due(name text, every interval) returns boolean
language plpgsql
as $$
begin
    update chores set last_run_at = now()
    where chores.name = chore_is_due.name and last_run_at <= now() - every;
    return found;
end
$$;
comment on function chore_is_due is 'Whether a chore is due.';
