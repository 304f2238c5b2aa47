-- operator_data(reason, actor, more): who did something and why, as events have it: by (actor, else the session's user), reason. Internal: the operators' verbs.
create function operator_data(reason text, actor text, more jsonb default '{}') returns jsonb
language sql stable
as $$ select jsonb_strip_nulls(jsonb_build_object('by', coalesce(actor, session_user::text), 'reason', reason) || more) $$;
comment on function operator_data is 'Who did something and why, for an event.';
