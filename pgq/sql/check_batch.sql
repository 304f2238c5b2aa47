-- check_batch(batch_id): raises PQ004 unless this is a batch that the caller may know of: a mere producer its own. Internal: the verbs of batches.
create function check_batch(batch_id bigint) returns void
language plpgsql stable
as $$
begin
    if batch_id is null or visible(array[batch_id]) = '{}' or not is_batch(batch_id) then
        raise exception using errcode = 'PQ004', message = format('there is no batch %s', coalesce(batch_id::text, 'null'));
    end if;
end
$$;
comment on function check_batch is 'Refuses what is no batch.';
