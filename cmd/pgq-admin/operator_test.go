package main_test

import (
	"testing"
)

func TestPausesSayWhoAndWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(1, "mail", "send")
	s.admin("queue pause mail --actor ann --reason", "db mig").want(t, 0, "paused mail")
	s.admin("queue pause mail").want(t, 0, "mail was paused already, it is since ", " by ann: db mig")
	s.admin("queue show mail").want(t, 0, " by ann: db mig")
	s.admin("queue list -o csv --columns queue,paused_by,pause_reason").want(t, 0, "mail,ann,db mig\n")
	s.admin("job explain 1").want(t, 0, "queue mail is paused by ann for ", ": db mig")
	s.admin("doctor").want(t, 4, "It has been paused since ", " by ann: db mig; nothing of it is claimed.")
	s.admin("queue pause mail --actor bob --reason longer").want(t, 0, "mail was paused already, it is since ", " by bob: longer")
	s.admin("queue resume mail --actor bob").want(t, 0, "resumed mail\n")
	s.admin("queue resume mail").want(t, 0, "mail was not paused\n")
	s.admin("queue set mail max_depth=7 --actor ann --reason spam").want(t, 0)
	s.admin("event tail --queue mail").want(t, 0, `paused in mail {"by": "ann", "user": "`, `", "reason": "db mig"}`, `paused in mail {"by": "bob", "user": "`, `", "reason": "longer"}`, `resumed in mail {"by": "bob", "user": "`,
		`queue_set in mail {"by": "ann", "user": "`, `", "reason": "spam", "settings": {"max_depth": 7}}`)
	s.admin("limit pause kind send --for 1h --actor ann --reason busy").want(t, 0)
	s.admin("limit show kind send -o json").want(t, 0, `"paused_by": "ann"`)
	s.admin("limit resume kind send --actor bob").want(t, 0)
	s.admin("limit set kind send --rate 5 --actor ann").want(t, 0)
	s.admin("limit delete kind send --yes --actor bob --reason enough").want(t, 0)
	s.admin("limit list").want(t, 0, "no limits")
	s.admin("event tail --type paused,resumed,limit_set,limit_deleted").want(t, 0, `limit_set {"by": "ann", "name": "send", "user": "`, `"scope": "kind", "settings": {`, `limit_deleted {"by": "bob"`)
}

func TestJobsTellWhoDidWhatAndWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fill(3, "mail", "send")
	s.failing("mail", "broken")
	s.admin("job retry 1 --actor bob --reason again").want(t, 0)
	s.admin("job events 1").want(t, 0, `{"by": "bob", "user": "`, `", "reason": "again"}`)
	s.admin("job cancel 1 --actor bob --reason", "one job").want(t, 0)
	s.admin("job events 1").want(t, 0, `{"by": "bob", "user": "`, `", "error": "one job"}`)
	s.admin("job retry --queue mail --yes --actor cleo --reason many").want(t, 0, "ready    2")
	s.admin("event tail --job 2 --type retry_requested").want(t, 0, `{"by": "cleo", "user": "`, `", "reason": "many"}`)
	s.admin("event tail --queue mail --type operated").want(t, 0, `"by": "cleo"`, `"reason": "many"`)
	s.sql("select count(*) from claim(1, '{mail}', '{1}')")
	s.admin("job cancel 2 --actor ann --reason stop").want(t, 0, "requested")
	s.admin("job explain 2").want(t, 0, "its handler was asked to stop", "ago: stop")
	s.sql("select give_up(1, '{2}', '{2}', '{killed by signal 15}')")
	s.admin("job show 2").want(t, 0, "stop: killed by signal 15")
	s.admin("job delete 3 --yes --actor ann --reason wrong").want(t, 0)
	s.admin("event tail --job 3 --type deleted").want(t, 0, "deleted job 3 send in mail", `"by": "ann"`, `"reason": "wrong"`)
	s.healthy()
}
