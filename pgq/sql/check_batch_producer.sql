-- check_batch_producer(batch_id, jobs): raises 42501 for a mere producer that would add jobs, or callbacks of these, of queues into which it may not enqueue, or batches of
-- others, to its batch. Internal: batch_add.
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
    perform check_producer(array(
        select distinct coalesce(e ->> 'queue', d.queue) from jobs d, jsonb_array_elements(check_batch_producer.jobs) e
        where d.id = check_batch_producer.batch_id
        union select coalesce(c ->> 'queue', 'default') from jsonb_path_query(check_batch_producer.jobs, '$[*].callbacks.* ? (@.type() == "object")') c));
    select b::bigint into foreign_id from jsonb_path_query(check_batch_producer.jobs, '$[*].batch') b
    where visible(array[b::bigint]) = '{}' limit 1;
    if found then
        raise exception using errcode = '42501', message = format('permission denied to come after job %s', foreign_id);
    end if;
end
$$;
comment on function check_batch_producer is 'Refuses what a producer may not add to a batch.';
