-- dag_forget_items(job_ids): deletes the items of those maps among these nodes of which a parent is among them, too: they will
-- be expanded anew, once that is done, and maybe from another result. Of other maps it forgets how many items were cut off. Internal: dag_reset.
-- Raises PQ006 when one of the items to be deleted runs.
create function dag_forget_items(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    map record;
    items bigint[];
begin
    for map in
        select m.id, m.name, m.dag_id, m.spec, s.source_id,
               exists (select from edges e where e.child_id = m.id and e.parent_id = any(job_ids) and not is_item(e.parent_id, m.id) offset 0) as anew
        from jobs m join maps s on s.job_id = m.id
        where m.id = any(job_ids) and exists (select from results f where f.job_id = m.id)
        order by m.id
    loop
        if not map.anew then
            update maps m set total = greatest(m.expanded, coalesce(
                (select jsonb_array_length(jsonb_path_query_array(f.output, (map.spec ->> 'path')::jsonpath))
                 from results f where f.job_id = map.source_id), m.expanded))
            where m.job_id = map.id;
            continue;
        end if;
        items := array(select m from members_of(array[map.id]) m);
        if exists (select from running r where r.job_id = any(items)) then
            perform too_busy(items);
        end if;
        delete from frontier where parent_id = any(items);
        delete from results where job_id = any(items);
        perform forget(items);
        delete from maps where job_id = map.id;
    end loop;
end
$$;
comment on function dag_forget_items is 'Deletes the items of maps that are to be expanded anew.';
