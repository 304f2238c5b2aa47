-- explain_age(age): an interval in plain words: "0.4 s", "41 s", "12 min", "5 h", "3 days". Internal.
create function explain_age(age interval) returns text
language sql immutable
as $$
    select case
        when abs(s) < 10 then round(abs(s), 1) || ' s'
        when abs(s) < 120 then round(abs(s)) || ' s'
        when abs(s) < 7200 then round(abs(s) / 60) || ' min'
        when abs(s) < 172800 then round(abs(s) / 3600) || ' h'
        else round(abs(s) / 86400) || ' days'
    end
    from extract(epoch from age) s
$$;
comment on function explain_age is 'An interval in plain words.';
