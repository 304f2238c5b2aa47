-- forget_keys(job_ids): deletes the unique keys that stand for jobs about to be deleted, unless they bar others still, or somebody who
-- enqueues has them locked: prune_keys comes by later. Internal: forget. Locks: rows of unique_keys, skipping those others have locked.
create function forget_keys(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    if exists (select from unique_keys) then
        delete from unique_keys
        where key = any(array(
            select u.key from unique_keys u
            where u.key = any(array(select j.unique_key from jobs j where j.id = any(job_ids) and j.unique_key is not null))
              and u.job_id = any(job_ids) and coalesce(u.holds_until <= now(), true)
            for update skip locked));
    end if;
end
$$;
comment on function forget_keys is 'Deletes the unique keys of jobs that are about to be deleted.';
