-- wake_chores(): asks one of the workers to do the chores soon, once the transaction commits. Internal.
create function wake_chores() returns void
language plpgsql
as $$
begin
    perform pg_notify(channel(), 'chores');
end
$$;
comment on function wake_chores is 'Asks a worker to do the chores soon.';
