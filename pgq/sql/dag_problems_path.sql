-- dag_problems_path(path, predicate): what is wrong with a jsonpath, which is to be a predicate if that is asked for; null
-- when nothing is. Internal.
--
-- A predicate is true, false or unknown whatever it looks at. Anything else finds nothing in {}, or raises, or is no
-- boolean, and jsonb_path_match says so. Variables would raise even in silent mode, and not before they are looked at.
create function dag_problems_path(path text, predicate boolean) returns text
language plpgsql immutable
as $$
declare
    parsed jsonpath;
begin
    begin
        parsed := path::jsonpath;
    exception when data_exception or syntax_error_or_access_rule_violation or feature_not_supported or program_limit_exceeded then
        return format('must be a jsonpath: %s', left(sqlerrm, 200));
    end;
    if regexp_replace(parsed::text, '"([^"\\]|\\.)*"', '""', 'g') like '%$""%' then
        return 'must not have variables';
    elsif predicate then
        begin
            perform jsonb_path_match('{}', parsed, '{}', false);
        exception when data_exception then
            return 'must be a predicate, for example $.flag == true';
        end;
    end if;
    return null;
end
$$;
comment on function dag_problems_path is 'What is wrong with a jsonpath, or null.';
