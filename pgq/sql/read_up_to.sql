-- read_up_to(c): an id up to which a consumer has read everything. Internal, inlined.
create function read_up_to(c consumers) returns bigint
language sql immutable
as $$ select least(c.to_id, case when not c.exhausted then c.after_id end, (select min(i) from unnest(c.to_open_ids) i)) $$;
comment on function read_up_to is 'An id up to which a consumer has read everything.';
