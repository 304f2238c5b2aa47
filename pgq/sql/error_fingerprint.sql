-- error_fingerprint(error): twelve hexadecimal digits that errors have in common which differ only in numbers, ids, addresses,
-- times and quoted words: the digest of error_shape. Null for no error.
-- roles: operator, reader
create function error_fingerprint(error text) returns text
language sql immutable security definer set search_path from current
as $$
    select left(md5(error_shape(error)), 12)
$$;
comment on function error_fingerprint is 'What errors of one sort have in common, in twelve hexadecimal digits.';
