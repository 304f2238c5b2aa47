-- check_batch_producer(batch_id, jobs): raises 42501 for a mere producer that would add jobs, or callbacks of these, of queues into which it may not enqueue, or batches of
-- others, to its batch. Internal: batch_add, before it looks at the jobs.
create function check_batch_producer(batch_id bigint, jobs jsonb) returns void
language plpgsql stable
as $$
declare
    foreign_id bigint;
begin
    if is_owner(caller()) or exists (
        select from grants g where g.class in ('operator', 'worker') and pg_has_role(caller(), g.role_id, 'usage'))
    then
        return;
    end if;
    perform check_producer(queues_named(check_batch_producer.jobs, (select d.queue from jobs d where d.id = check_batch_producer.batch_id)));
    select trunc(b::numeric)::bigint into foreign_id
    from jsonb_path_query(check_batch_producer.jobs, '$[*].batch ? (@.type() == "number" && @ >= 1 && @ < 9223372036854775807)') b
    where visible(array[trunc(b::numeric)::bigint]) = '{}' limit 1;
    if found then
        raise exception using errcode = '42501', message = format('permission denied to come after job %s', foreign_id);
    end if;
end
$$;
comment on function check_batch_producer is 'Refuses what a producer may not add to a batch.';
