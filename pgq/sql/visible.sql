-- visible(job_ids): those of the jobs that the caller may look at: all, or for mere producers what they enqueued.
-- Internal: SECURITY DEFINER functions. Locks nothing.
create function visible(job_ids bigint[]) returns bigint[]
language plpgsql stable
as $$
declare
    who oid;
begin
    if session_user = current_user and current_setting('role') = 'none' then
        return job_ids;
    end if;
    who := caller();
    if is_owner(who) or exists (
        select from grants g
        where (g.class in ('operator', 'worker') or g.class = 'reader' and g.tenant = '*')
          and pg_has_role(who, g.role_id, 'usage'))
    then
        return job_ids;
    end if;
    return array(select j.id from jobs j where j.id = any(job_ids) and j.enqueued_by = any(own_producers()));
end
$$;
comment on function visible is 'Those of the jobs that the caller may look at.';
