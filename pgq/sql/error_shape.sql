-- error_shape(error): the first line of an error that is not empty, with what differs from one occurrence to the next replaced:
-- UUIDs by <id>, quoted text by <text>, hexadecimal digits with numbers among them (and 0x...) by <hex>, numbers by <n>.
-- Of a long line the first 500 characters count.
create function error_shape(error text) returns text
language sql immutable
as $$
    select left(btrim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        left(ltrim(split_part(ltrim(left(error, 2000), E' \t\r\n'), E'\n', 1)), 1000),
        '\m[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\M', '<id>', 'g'),
        '"[^"]*"|`[^`]*`|''[^'']*''(?!\w)', '<text>', 'g'),
        '\m0[xX][0-9a-fA-F]+\M', '<hex>', 'g'),
        '\m(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{6,}\M', '<hex>', 'g'),
        '\d+([.,:]\d+)*', '<n>', 'g'),
        '\s+', ' ', 'g')), 500)
$$;
comment on function error_shape is 'An error without what differs from one occurrence to the next.';
