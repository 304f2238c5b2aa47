-- batches_in(batch_id): a batch and the batches in it, innermost ones first. Internal.
create function batches_in(batch_id bigint) returns bigint[]
language sql stable
as $$
    with recursive batches as (
        select batch_id as id, 0 as depth
        union
        select d.id, b.depth + 1
        from batches b
        join jobs n on n.dag_id = b.id and n.role = 'sleep'
        cross join lateral (select parent_id from edges where child_id = n.id offset 0) e
        cross join lateral (select id from jobs where jobs.id = e.parent_id and role = 'dag' and dag_id is null offset 0) d
    )
    select array_agg(id order by depth desc, id) from (select id, max(depth) as depth from batches group by id) b
$$;
comment on function batches_in is 'A batch and the batches in it.';
