-- next_bit(mask, at_least): the lowest bit of a mask that is set and is no lower than at_least (0 to 62); null when there is none. Internal.
create function next_bit(mask bigint, at_least integer) returns integer
language sql immutable
as $$
    select case when mask >> at_least > 0 then
        round(ln(((mask >> at_least << at_least) & -(mask >> at_least << at_least))::float8) / ln(2::float8))::integer end
$$;
comment on function next_bit is 'The lowest bit of a mask that is set, from one on.';
