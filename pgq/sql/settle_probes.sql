-- settle_probes(): looks what became of probes: one that completed closes the circuit breaker, one that failed opens it again. After one that ended
-- in another way (it was put off, cancelled, or its worker died) another one may run. Breakers that were taken away are closed.
-- Internal: tend_breakers, before the failures are counted.
-- An attempt leaves running in the transaction that notes its failure or writes its result, so one snapshot sees which it was.
create function settle_probes() returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    gate record;
begin
    for gate in
        select g.scope, g.name, g.opened_at, g.probe_id, b.break_for, f.at as failed_at, j.queue,
               b.name is null or c.job_id is not null as closes
        from gates g
        left join lateral breaker_of(g.scope, g.name) b on true
        left join lateral (
            select s.at from strikes s
            where s.scope = g.scope and s.name = g.name and s.job_id = g.probe_id and s.attempt = g.probe_attempt limit 1) f on true
        left join lateral (
            select r.job_id from results r
            where r.job_id = g.probe_id and r.attempt = g.probe_attempt and r.state = 'completed' offset 0) c on true
        left join lateral (select queue from jobs where jobs.id = g.probe_id offset 0) j on true
        where g.opened_at is not null
          and (b.name is null
               or g.probe_id is not null
               and not exists (select from running r where r.job_id = g.probe_id and r.attempt = g.probe_attempt offset 0))
        order by g.scope, g.name
    loop
        update gates g
        set probe_id = null, probe_attempt = null,
            opened_at = case when not gate.closes then g.opened_at end,
            probe_at = case when not gate.closes then coalesce(gate.failed_at + gate.break_for, g.probe_at) end,
            failed_at = case when not gate.closes then g.failed_at end
        where g.scope = gate.scope and g.name = gate.name and g.opened_at = gate.opened_at;
        continue when not found;
        if gate.closes then
            perform record_event('breaker_closed', gate.probe_id, coalesce(gate.queue, case gate.scope when 'queue' then gate.name end),
                data => jsonb_build_object('scope', gate.scope, 'name', gate.name, 'opened_at', gate.opened_at));
            perform wake_turns(gate.scope, gate.name);
            continue;
        end if;
        if gate.scope = 'group' then
            perform add_vacancies(array[gate.name]);
        end if;
        if gate.failed_at is not null then
            perform record_event('breaker_opened', gate.probe_id, gate.queue,
                data => jsonb_build_object('scope', gate.scope, 'name', gate.name, 'probe_at', gate.failed_at + gate.break_for));
        end if;
    end loop;
end
$$;
comment on function settle_probes is 'Closes circuit breakers whose probes completed, and opens those whose probes failed.';
