-- invalid(field, rule): raises PQ001. Clients find the field in COLUMN and the rule in DETAIL.
create function invalid(field text, rule text) returns void
language plpgsql
as $$
begin
    raise exception using
        errcode = 'PQ001',
        message = format('%s %s', field, rule),
        column = field,
        detail = rule;
end
$$;
comment on function invalid is 'Raises PQ001: a field breaks a rule.';
