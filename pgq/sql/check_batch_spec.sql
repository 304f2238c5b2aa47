-- check_batch_spec(spec): raises PQ001 for what is wrong with the spec of a batch and is not seen in the DAG that is made of it.
-- Internal: batch_submit.
create function check_batch_spec(spec jsonb) returns void
language plpgsql stable
as $$
declare
    known constant text[] := '{name,key,queue,priority,deadline,fail_fast,open,tags,metadata,result_ttl,jobs,on_done,on_success,on_failure}';
    odd text;
begin
    if jsonb_typeof(spec) is distinct from 'object' then
        perform invalid('spec', 'must be a JSON object');
    end if;
    select left(key, 128) into odd from jsonb_object_keys(spec) key where key <> all(known) order by 1 limit 1;
    if found then
        perform invalid(odd, 'is not a field of a batch');
    end if;
    select key into odd from unnest('{fail_fast,open}'::text[]) key where jsonb_typeof(spec -> key) not in ('boolean', 'null') limit 1;
    if found then
        perform invalid(odd, 'must be true or false');
    end if;
    perform check_batch_jobs(coalesce(nullif(spec -> 'jobs', 'null'), '[]'));
    perform check_callback(key, spec -> key, false)
    from unnest('{on_done,on_success,on_failure}'::text[]) key where spec ? key;
end
$$;
comment on function check_batch_spec is 'Refuses what is wrong with the spec of a batch.';
