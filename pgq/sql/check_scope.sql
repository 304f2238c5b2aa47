-- check_scope(scope, name): raises PQ001 unless scope and name can be those of a limit. Internal.
create function check_scope(scope text, name text) returns void
language plpgsql
as $$
begin
    if scope is null or scope not in ('queue', 'kind', 'group') then
        perform invalid('scope', 'must be queue, kind or group');
    elsif name is null or length(name) not between 1 and 200 then
        perform invalid('name', 'must have 1 to 200 characters');
    elsif name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then
        perform invalid('name', 'must not have control characters');
    elsif name = '*' and scope <> 'group' then
        perform invalid('name', format('must name one %s', scope));
    end if;
end
$$;
comment on function check_scope is 'Refuses what cannot be limited.';
