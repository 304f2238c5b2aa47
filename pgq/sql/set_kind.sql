-- set_kind(kind, settings): sets what the object names for all jobs of a kind; null puts a setting back to what their queue says.
-- Settings: backoff. A job's own setting wins over its kind's, and that over its queue's.
--
--   select pgq.set_kind('send_receipt', '{"backoff": {"type": "table", "delays": [1, 30, 600]}}');
--
-- Raises PQ001 for an unknown setting or a value that breaks a rule. Locks: the row of kinds.
-- roles: operator
create function set_kind(kind text, settings jsonb) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    unknown text;
begin
    if set_kind.kind is null or length(set_kind.kind) not between 1 and 128 then
        perform invalid('kind', 'must have 1 to 128 characters');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    select key into unknown from jsonb_object_keys(settings) key where key <> 'backoff' order by key limit 1;
    if found then
        perform invalid(unknown, 'is not a setting of a kind');
    elsif backoff_problem(nullif(settings -> 'backoff', 'null')) is not null then
        perform invalid('backoff', backoff_problem(settings -> 'backoff'));
    elsif settings ? 'backoff' then
        insert into kinds as k (name, backoff) values (set_kind.kind, nullif(settings -> 'backoff', 'null'))
        on conflict (name) do update set backoff = excluded.backoff, updated_at = now();
    end if;
end
$$;
comment on function set_kind is 'Sets settings of a kind of jobs.';
