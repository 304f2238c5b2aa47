-- within(field, given, lowest, highest): what was given, null included. Raises PQ001 with the field unless it is from lowest to highest. Internal: for arguments in
-- places where PostgreSQL's own error would name neither the field nor the rule, at_most of whatever works or looks in portions above all.
create function within(field text, given anyelement, lowest anyelement, highest anyelement) returns anyelement
language plpgsql immutable
as $$
begin
    if given < lowest or given > highest then
        perform invalid(field, format('must be %s to %s', lowest, highest));
    end if;
    return given;
end
$$;
comment on function within is 'Refuses what is out of bounds.';
