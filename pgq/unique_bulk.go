package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// takeKeys asks what becomes of those jobs of a bulk that are to be unique. It reports false if some cannot be copied.
func (b *bulk) takeKeys(ctx context.Context) (known bool, err error) {
	if !b.traits.uniqueness {
		return true, nil
	}
	for i := range b.jobs {
		if u := b.jobs[i].unique; u != nil && !u.copies() {
			return false, nil
		}
	}
	if err := b.makeKeys(ctx); err != nil {
		return false, err
	}
	if copied, err := b.copyKeys(ctx); copied || err != nil {
		return copied, err
	}
	return true, b.askForKeys(ctx)
}

// makeKeys works out the keys, in the database unless all can be told here.
func (b *bulk) makeKeys(ctx context.Context) error {
	n := len(b.jobs)
	b.keys, b.holds = make([]*string, n), make([]*time.Time, n)
	told := inParts(n, func(from, to int) bool {
		for i := from; i < to; i++ {
			if b.jobs[i].unique == nil {
				continue
			}
			key, ok := b.jobs[i].uniqueKey()
			if !ok {
				return false
			}
			b.keys[i] = &key
		}
		return true
	})
	if !slices.Contains(told, false) {
		return nil
	}
	uniques, kinds, queues, args := make([]*Unique, n), make([]string, n), make([]string, n), make([]json.RawMessage, n)
	for i := range b.jobs {
		j := &b.jobs[i]
		uniques[i], kinds[i], queues[i] = j.unique, j.kind, j.queue
		if j.unique == nil {
			continue
		}
		if j.args.codec != nil && slices.ContainsFunc(j.unique.By, func(by string) bool { return strings.HasPrefix(by, "args") }) {
			return atIndex(i, &ArgumentError{Field: "unique.by", Rule: "must not name args that a codec has encoded"})
		}
		if j.unique.By != nil {
			args[i] = j.args.json
		}
	}
	err := b.tx.QueryRow(ctx, b.client.from("keys, holds", "make_keys($1::jsonb[], $2, $3, $4::jsonb[])"), uniques, kinds, queues, args).
		Scan(&b.keys, &b.holds)
	return wrap("enqueue", err)
}

// keySample is how many of the keys of a bulk are looked up before all are copied.
const keySample = 500

// copyKeys copies the keys as though each were new, which is mostly so and takes half as long as asking for each. It reports false,
// having undone that, where one is not. The order is that of take_keys, so that bulks wait for each other's transactions and not in
// circles; PostgreSQL itself waits for who has inserted the same key and has not committed.
func (b *bulk) copyKeys(ctx context.Context) (copied bool, err error) {
	order, distinct := b.orderOfKeys()
	if !distinct {
		return false, nil
	}
	var sample []string
	for i := 0; i < len(order); i += 1 + len(order)/keySample {
		sample = append(sample, *b.keys[order[i]])
	}
	var known bool
	if err := b.tx.QueryRow(ctx, b.client.from("*", "any_key_known($1)"), sample).Scan(&known); err != nil || known {
		return false, wrap("enqueue", err)
	}
	if _, err := b.tx.Exec(ctx, "savepoint pgq_keys"); err != nil {
		return false, wrap("enqueue", err)
	}
	end := "release savepoint pgq_keys"
	err = b.copy(ctx, "unique_keys", []string{"key", "job_id", "holds_until"}, len(order), func(i int) []any {
		return []any{*b.keys[order[i]], b.ids[order[i]], b.holds[order[i]]}
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		end, err = "rollback to savepoint pgq_keys", nil
	}
	if err == nil {
		_, err = b.tx.Exec(ctx, end)
	}
	return pg == nil && err == nil, wrap("enqueue", err)
}

// orderOfKeys returns the places of jobs that are to be unique by their keys, and whether all those differ.
func (b *bulk) orderOfKeys() (order []int, distinct bool) {
	for i, key := range b.keys {
		if key != nil {
			order = append(order, i)
		}
	}
	distinct = true
	slices.SortFunc(order, func(i, j int) int {
		c := strings.Compare(*b.keys[i], *b.keys[j])
		distinct = distinct && (c != 0 || i == j)
		return c
	})
	return order, distinct
}

// askForKeys asks for each key what becomes of its job.
func (b *bulk) askForKeys(ctx context.Context) error {
	n := len(b.jobs)
	whiles, conflicts := make([]string, n), make([]string, n)
	for i := range b.jobs {
		if u := b.jobs[i].unique; u != nil {
			whiles[i], conflicts[i] = first(string(u.While), string(Unfinished)), first(string(u.OnConflict), string(ReturnExisting))
		}
	}
	rows, err := b.tx.Query(ctx, b.client.from("place, outcome, job_id", "take_keys($1, $2, $3, $4, $5) where outcome <> 'added'"),
		b.keys, b.ids, whiles, b.holds, conflicts)
	if err != nil {
		return wrap("enqueue", err)
	}
	defer rows.Close()
	b.earlier = map[int]Enqueued{}
	for rows.Next() {
		var place int
		var outcome string
		var job Enqueued
		if err := rows.Scan(&place, &outcome, &job.ID); err != nil {
			return wrap("enqueue", err)
		}
		job.take(outcome)
		b.earlier[place-1] = job
	}
	return wrap("enqueue", rows.Err())
}

// barred reports whether an earlier job stands for one of the bulk.
func (b *bulk) barred(i int) bool {
	_, barred := b.earlier[i]
	return barred
}

// enqueued returns what became of the jobs.
func (b *bulk) enqueued() []Enqueued {
	all := make([]Enqueued, len(b.ids))
	for i, id := range b.ids {
		if earlier, barred := b.earlier[i]; barred {
			all[i] = earlier
			continue
		}
		all[i].ID = id
	}
	return all
}
