-- breaker_of(scope, name): the limit that holds for a queue, a kind or a group, if it has a circuit breaker; no row if not. Internal, inlined.
create function breaker_of(scope text, name text) returns setof limits
language sql stable
as $$
    select l.* from limits l
    where breaker_of.scope <> 'group' and l.scope = breaker_of.scope and l.name = breaker_of.name and l.break_after is not null
    union all
    select l.* from limit_of(breaker_of.name) l where breaker_of.scope = 'group' and l.break_after is not null
$$;
comment on function breaker_of is 'The limit that holds, if it has a circuit breaker.';
