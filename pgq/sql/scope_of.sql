-- scope_of(name): the sub-DAG in which a node of this name is: "a/b" for "a/b/c", "" for "c". Internal, inlined.
create function scope_of(name text) returns text
language sql immutable
as $$
    select left(name, greatest(length(name) - strpos(reverse(name), '/'), 0) * sign(strpos(name, '/'))::integer)
$$;
comment on function scope_of is 'The sub-DAG in which a node is.';
