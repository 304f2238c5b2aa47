-- check_parallel(fields, shapes): raises PQ001 unless these arguments of a verb are arrays that belong together: the first one has one dimension that
-- begins at 1, the second one is like it, and so are the others, which may also be null or empty. shapes: array_dims of each, which is null for
-- what is null or empty. Where the first one is, nothing is to be done, and nothing is refused. Internal.
create function check_parallel(fields text[], shapes text[]) returns void
language plpgsql immutable
as $$
begin
    if shapes[1] !~ '^\[1:\d+\]$' then
        perform invalid(fields[1], 'must be an array with one dimension that begins at 1');
    end if;
    for i in 2 .. case when shapes[1] is null then 1 else cardinality(fields) end loop
        if shapes[i] <> shapes[1] or i = 2 and shapes[i] is null then
            perform invalid(fields[i], format('must have as many elements as %s, and one dimension that begins at 1', fields[1]));
        end if;
    end loop;
end
$$;
comment on function check_parallel is 'Refuses arrays that do not belong together.';
