-- unique_key(spec, kind, queue, args): the key of a job that is to be unique: spec.key as it is, or, for spec.by, the kind and what is named:
-- "queue", "args" (all of them), "args.customer.id" (a member; null where it is missing). With a period also which
-- one it is, counted from 1970. Keys that would be longer than 500 characters are hashed. The Go client works out most keys of bulks itself
-- (pgq/unique_key.go): whatever changes here changes there. Internal.
create function unique_key(spec jsonb, kind text, queue text, args jsonb) returns text
language plpgsql stable
as $$
declare
    key text := spec ->> 'key';
    name text;
    seconds numeric;
begin
    if key is null then
        key := 'kind=' || to_json(kind);
        for name in select distinct b collate "C" as b from jsonb_array_elements_text(spec -> 'by') b order by b loop
            key := key || ' ' || name || '=' || case name
                when 'queue' then to_json(queue)::text
                when 'args' then coalesce(args, 'null')::text
                else coalesce(args #> (string_to_array(name, '.'))[2:], 'null')::text end;
        end loop;
    end if;
    if spec ? 'period' then
        seconds := trim_scale(extract(epoch from (spec ->> 'period')::interval));
        key := key || ' period=' || floor(extract(epoch from now()) / seconds) || '*' || seconds;
    end if;
    return case when length(key) <= 500 then key else 'sha256:' || encode(sha256(convert_to(key, 'UTF8')), 'hex') end;
end
$$;
comment on function unique_key is 'The key of a job that is to be unique.';
