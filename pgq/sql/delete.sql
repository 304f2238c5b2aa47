-- delete(job_ids): deletes jobs with all that is known of them, unless they run.
-- Outcome per job: deleted, running (cancel it first), not_found.
create function delete(job_ids bigint[]) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone bigint[];
    moved bigint[];
begin
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place loop
            if found_at.place in ('running', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place in ('ready', 'scheduled') then
                gone := array(select w.job_id from withdraw(found_at.ids) w);
            else
                with locked as materialized (
                    select f.job_id from results f where f.job_id = any(found_at.ids) order by f.job_id for update
                ), removed as (
                    delete from results f using locked l where f.job_id = l.job_id returning f.job_id
                )
                select coalesce(array_agg(r.job_id), '{}') into gone from removed r;
            end if;
            perform forget(gone);
            return query select id, 'deleted' from unnest(gone) id;
            moved := moved || array(select unnest(found_at.ids) except select unnest(gone));
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function delete is 'Deletes jobs with all that is known of them, unless they run.';
