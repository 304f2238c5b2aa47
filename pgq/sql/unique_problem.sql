-- unique_problem(spec): the first rule that the field "unique" of a job breaks, as {field, rule}; null when none. Its members:
--   key          a text; or
--   by           what makes a job the same: a list of "args", "args.NAME..." and "queue"; the kind always counts
--   while        queued: until it starts to run; unfinished (the default): until it ends
--   for          an interval: bars others for this long, even when it has ended
--   period       an interval: one in each, counted from 1970, even when it has ended
--   on_conflict  existing (the default): its id is returned; replace: a queued one takes the new args, metadata, tags, time and
--                ways to retry; error: PQ007
--   debounce     {"wait": ..., "max_wait": ...}: runs when nobody has asked for it for the time of wait; the last args win
--   throttle     {"every": ..., "edge": "leading"|"trailing"}: runs once per interval: at once, or at its end with the last args
-- Internal.
create function unique_problem(spec jsonb) returns text[]
language plpgsql stable
as $$
declare
    field text;
    part text;
begin
    if jsonb_typeof(spec) <> 'object' then
        return array['unique', 'must be a JSON object'];
    end if;
    select k into field from jsonb_object_keys(spec) k
    where k not in ('key', 'by', 'while', 'for', 'period', 'on_conflict', 'debounce', 'throttle') limit 1;
    if found then
        return array['unique', format('has an unknown field %s', to_json(field))];
    elsif (spec ? 'key') = (spec ? 'by') then
        return array['unique', 'must have either a key or by'];
    elsif spec ? 'key' and (jsonb_typeof(spec -> 'key') <> 'string' or length(spec ->> 'key') not between 1 and 450) then
        return array['unique.key', 'must be a text of 1 to 450 characters'];
    elsif spec ? 'by' and (jsonb_typeof(spec -> 'by') <> 'array' or jsonb_array_length(spec -> 'by') > 32
            or exists (select from jsonb_array_elements(spec -> 'by') b
                       where jsonb_typeof(b) <> 'string' or (b #>> '{}') !~ '^(queue|args(\.[^.]+)*)$')) then
        return array['unique.by', 'must be a list of up to 32 of "queue", "args" and "args.NAME"'];
    elsif coalesce(spec -> 'while', '"queued"') not in ('"queued"', '"unfinished"') then
        return array['unique.while', 'must be queued or unfinished'];
    elsif coalesce(spec -> 'on_conflict', '"existing"') not in ('"existing"', '"replace"', '"error"') then
        return array['unique.on_conflict', 'must be existing, replace or error'];
    elsif spec ? 'for' and spec ? 'period' then
        return array['unique.period', 'must not be given together with for'];
    elsif (select count(*) from unnest('{debounce,throttle}'::text[]) k where spec ? k) = 2 then
        return array['unique.throttle', 'must not be given together with debounce'];
    elsif (spec ?| '{debounce,throttle}') and (spec ?| '{while,for,period,on_conflict}') then
        return array['unique', 'must not have while, for, period or on_conflict together with debounce or throttle'];
    end if;
    foreach part in array '{debounce,throttle}'::text[] loop
        if jsonb_typeof(spec -> part) <> 'object' then
            return array['unique.' || part, 'must be a JSON object'];
        end if;
        select k into field from jsonb_object_keys(spec -> part) k
        where k <> all(case part when 'debounce' then '{wait,max_wait}'::text[] else '{every,edge}' end) limit 1;
        if found then
            return array['unique.' || part, format('has an unknown field %s', to_json(field))];
        end if;
    end loop;
    if coalesce(spec #> '{throttle,edge}', '"leading"') not in ('"leading"', '"trailing"') then
        return array['unique.throttle.edge', 'must be leading or trailing'];
    elsif spec ? 'debounce' and not (spec -> 'debounce') ? 'wait' then
        return array['unique.debounce.wait', 'must be given'];
    elsif spec ? 'throttle' and not (spec -> 'throttle') ? 'every' then
        return array['unique.throttle.every', 'must be given'];
    end if;
    foreach field in array '{for,period,debounce.wait,debounce.max_wait,throttle.every}'::text[] loop
        part := spec #>> string_to_array(field, '.');
        continue when part is null;
        begin
            if part::interval not between interval '1 ms' and interval '100 years' then
                return array['unique.' || field, 'must be 1 ms to 100 years'];
            end if;
        exception when data_exception then
            return array['unique.' || field, 'must be an interval'];
        end;
    end loop;
    return null;
end
$$;
comment on function unique_problem is 'What is wrong with how a job is to be unique.';
