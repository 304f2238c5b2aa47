-- args_fit(args, keys, allowed): whether at each of the paths (arrays of keys and indexes) the args have one of the values
-- that are allowed there. JSON's equality: numbers are compared exactly, 1.0 equals 1. Internal: select_jobs.
create function args_fit(args jsonb, keys jsonb, allowed jsonb) returns boolean
language sql immutable
as $$
    select not exists (
        select from jsonb_array_elements(keys) with ordinality k
        where not coalesce(
            args #> array(select jsonb_array_elements_text(k.value))
                = any(array(select jsonb_array_elements(allowed -> (k.ordinality - 1)::integer))), false))
$$;
comment on function args_fit is 'Whether args have one of some values at each of some paths.';
