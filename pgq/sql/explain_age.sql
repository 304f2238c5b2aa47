-- explain_age(age): an interval as pgq-admin writes all of them: "340ms", "1.2s", "3m20s", "5h10m", "2d4h". Internal.
create function explain_age(age interval) returns text
language sql immutable
as $$
    select case when s < 0 then '-' else '' end || case
        when s = 0 then '0s'
        when abs(s) < 0.9995 then round(abs(s) * 1000) || 'ms'
        when abs(s) < 59.95 then round(abs(s), 1) || 's'
        when r < 3600 then div(r, 60) || 'm' || mod(r, 60) || 's'
        when r < 86400 then div(r, 3600) || 'h' || mod(div(r, 60), 60) || 'm'
        else div(r, 86400) || 'd' || mod(div(r, 3600), 24) || 'h'
    end
    from extract(epoch from age) s, round(abs(s)) r
$$;
comment on function explain_age is 'An interval in plain words.';
