-- prune_keys(at_most): looks at the next so many unique keys, in their order, and deletes those that stand for no job any more and bar
-- nobody: jobs may go sooner than what their keys hold, and forget_keys may find them locked. Internal: prune.
-- Locks: rows of unique_keys, skipping those others have locked.
create function prune_keys(at_most integer) returns void
language plpgsql
as $$
declare
    seen text[];
begin
    if not exists (select from unique_keys) then
        return;
    end if;
    seen := array(
        select u.key from unique_keys u
        where u.key > (select c.key from chores c where c.name = 'prune')
        order by u.key limit at_most);
    update chores set key = case when cardinality(seen) < at_most then '' else seen[cardinality(seen)] end where name = 'prune';
    delete from unique_keys
    where key = any(array(
        select u.key from unique_keys u
        where u.key = any(seen) and coalesce(u.holds_until <= now(), true)
          and not exists (select from jobs j where j.id = u.job_id offset 0)
        for update skip locked));
end
$$;
comment on function prune_keys is 'Deletes unique keys that stand for no job any more.';
