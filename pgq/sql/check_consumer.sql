-- check_consumer(name, queues, types, keep): raises PQ001 for the first field of a consumer that breaks a rule. Internal: set_consumer.
create function check_consumer(name text, queues text[], types text[], keep interval) returns void
language plpgsql stable
as $$
declare
    problem constant text[] := case
        when name is null or length(name) not between 1 and 128 then array['name', 'must have 1 to 128 characters']
        when name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['name', 'must not have control characters']
        when cardinality(queues) = 0 then array['queues', 'must name a queue, or be null for all']
        when cardinality(queues) > 1000 then array['queues', 'must be 1000 queues at most']
        when exists (select from unnest(queues) q where q is null or length(q) not between 1 and 128)
            then array['queues', 'must have 1 to 128 characters each']
        when cardinality(types) = 0 then array['types', 'must name a type, or be null for all']
        when exists (select from unnest(types) t where t is null) then array['types', 'must not have nulls']
        when keep is null or keep < interval '0' or keep > interval '10 years' then array['keep', 'must be 0 to 10 years']
    end;
    unknown text;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    select t into unknown from unnest(types) t where t not in (select e.type from event_types() e) limit 1;
    if found then
        perform invalid('types', format('must be types of events (see event_types), and %L is none', left(unknown, 100)));
    end if;
end
$$;
comment on function check_consumer is 'Refuses a consumer that breaks a rule.';
