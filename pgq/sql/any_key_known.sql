-- any_key_known(keys): whether one of these unique keys stands for a job already. Internal: the Go client's EnqueueMany, which then does not try to
-- copy them. Locks nothing: what it says is a guess at what will be so when they are copied.
-- roles: owner
create function any_key_known(keys text[]) returns boolean
language sql stable set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
    select exists (select from unique_keys u where u.key = any(keys))
$$;
comment on function any_key_known is 'Whether a unique key stands for a job already.';
