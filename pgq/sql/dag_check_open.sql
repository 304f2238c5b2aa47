-- dag_check_open(job_ids): raises PQ001 unless all of these nodes still wait for others, so that one more may come before
-- them. Internal: dag_extend, which has locked those that do.
create function dag_check_open(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    closed text;
begin
    select coalesce(j.name, 'the DAG') into closed
    from jobs j
    left join waiting w on w.job_id = j.id
    where j.id = any(job_ids)
      and (w.job_id is null or w.role in ('signal', 'items', 'turn') or exists (select from jobs i where i.id = w.job_id and i.spec ? 'map' offset 0))
    order by j.id limit 1;
    if found then
        perform invalid('before', format('must name nodes that still wait for others; %s does not', to_json(closed)));
    end if;
end
$$;
comment on function dag_check_open is 'Refuses nodes that do not wait for others any more.';
