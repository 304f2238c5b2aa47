-- fill_sequences(at_most): finds the next ones of sequences without a head (next_in_line), at_most of them. Returns how much it could do:
-- 0 when there is none, or others have locked what is needed. Internal: do_chores.
-- Locks: rows of sequences by key, skipping those that others have locked; then what next_in_line locks.
create function fill_sequences(at_most integer) returns integer
language plpgsql
as $$
declare
    keys text[] := array(
        select s.key from sequences s where s.job_id is null order by s.key limit at_most for no key update skip locked);
begin
    return case when keys = '{}' then 0 else next_in_line(keys) end;
end
$$;
comment on function fill_sequences is 'Finds the next ones of sequences without a head.';
