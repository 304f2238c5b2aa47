-- operator_data(reason, actor, more): who did something and why, as events have it: by (actor, else the session's user), user (the session's, where the actor is another), reason.
-- Internal: the operators' verbs.
create function operator_data(reason text, actor text, more jsonb default '{}') returns jsonb
language sql stable
as $$ select jsonb_strip_nulls(jsonb_build_object(
    'by', coalesce(actor, session_user::text), 'user', case when actor <> session_user::text then session_user::text end, 'reason', reason) || more) $$;
comment on function operator_data is 'Who did something and why, for an event.';
