-- expand_maps_of(source_ids): adds at once all items that are left of maps under way over the results of these jobs, which are
-- about to run again: maps under way keep the result that they began with. Internal: dag_reset, which holds the maps' rows
-- of waiting.
create function expand_maps_of(source_ids bigint[]) returns void
language plpgsql
as $$
declare
    map_id bigint;
begin
    for map_id in
        select m.job_id from maps m join waiting w on w.job_id = m.job_id
        where m.source_id = any(source_ids) and m.expanded < m.total and w.ending is null
        order by m.job_id
    loop
        while exists (select from maps m where m.job_id = map_id and m.expanded < m.total) loop
            perform expand_map(map_id);
        end loop;
    end loop;
end
$$;
comment on function expand_maps_of is 'Adds all items that are left of maps over results that will be gone.';
