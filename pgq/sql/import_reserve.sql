-- import_reserve(max_id): makes sure that ids up to max_id are not given out any more, before jobs with such ids are imported.
-- Locks the sequence against drawing ids until the transaction ends: commit at once.
-- roles: owner
create function import_reserve(max_id bigint) returns void
language plpgsql security definer set search_path from current
as $$
begin
    if max_id > 9000000000000000000 then
        perform invalid('max_id', 'must be at most 9000000000000000000');
    end if;
    if max_id > (select last_value from jobs_id_seq) then
        lock table jobs in row exclusive mode;
        -- With the lock of alter sequence nobody draws an id between looking and setting.
        alter sequence jobs_id_seq increment by 1;
        if max_id > (select last_value from jobs_id_seq) then
            execute format('alter sequence jobs_id_seq restart with %s', max_id);
            perform nextval('jobs_id_seq');
        end if;
    end if;
end
$$;
comment on function import_reserve is 'Keeps ids up to a number from being given out.';
