// Encrypted charges a card whose number nobody sees who can read the database: args and results are encrypted. Then the key is
// changed while jobs wait, and what was written with the old one is still read.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
	"github.com/pgq-go/queue/worker/config"
)

const queue = "example_encrypted"

// Charge asks to charge a card.
type Charge struct {
	Card  string `json:"card"`
	Cents int    `json:"cents"`
}

// Kind names this kind of job for ever.
func (Charge) Kind() string { return "charge" }

// Thumbnail is a picture, stored as the bytes that it is.
type Thumbnail []byte

// Kind names this kind of job for ever.
func (Thumbnail) Kind() string { return "thumbnail" }

// Options are those of every job of the kind.
func (Thumbnail) Options() pgq.Options { return pgq.Options{Queue: queue, Codec: pgq.Raw} }

// Stats is a result that operators are to see: it is JSON, whatever the codec of the client.
type Stats struct {
	Bytes int `json:"bytes"`
}

// Codec says how it is stored.
func (Stats) Codec() pgq.Codec { return pgq.JSON }

func main() {
	url := os.Getenv("PGQ_DATABASE_URL")
	if url == "" {
		log.Fatal("set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database")
	}
	if err := run(context.Background(), url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) error {
	if err := migrations.Up(ctx, url, migrations.Options{}); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	dir, err := os.MkdirTemp("", "pgq-keys-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the keys of the example

	before, err := settings(dir, "[{id: 2027-01, file: 2027-01.key}]")
	if err != nil {
		return err
	}
	after, err := settings(dir, "[{id: 2027-07, file: 2027-07.key}, {id: 2027-01, file: 2027-01.key}]")
	if err != nil {
		return err
	}
	old, both := client(before), client(after)
	first, err := charge(ctx, pool, old, "4242424242424242")
	if err != nil {
		return err
	}
	second, err := charge(ctx, pool, both, "4000056655665556")
	if err != nil {
		return err
	}
	picture, err := both.Enqueue(ctx, pool, Thumbnail{0x89, 'P', 'N', 'G'}, pgq.Options{})
	if err != nil {
		return err
	}
	return errors.Join(work(ctx, pool, after, first, second, picture.ID), cannotRead(ctx, pool, old, second))
}

// settings makes keys that are not there yet, and reads a settings file that names them.
func settings(dir, keys string) (*config.Loaded, error) {
	for _, id := range []string{"2027-01", "2027-07"} {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // it never fails
		path := filepath.Join(dir, id+".key")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, secret, 0o600); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, "pgq.yaml")
	if err := os.WriteFile(path, []byte("encryption: {keys: "+keys+"}"), 0o600); err != nil {
		return nil, err
	}
	return config.Load(config.Sources{File: path})
}

// client returns one that encrypts whatever says nothing else.
func client(loaded *config.Loaded) *pgq.Client {
	return pgq.New(loaded.ClientConfig(pgq.Config{Codec: pgq.Encrypt(pgq.JSON, loaded.Keys)}))
}

// charge enqueues a charge and tells what the database has of it.
func charge(ctx context.Context, pool *pgxpool.Pool, q *pgq.Client, card string) (int64, error) {
	added, err := q.Enqueue(ctx, pool, Charge{Card: card, Cents: 4200}, pgq.Options{Queue: queue})
	if err != nil {
		return 0, err
	}
	job, err := q.Get(ctx, pool, added.ID)
	if err != nil {
		return 0, err
	}
	key, err := pgq.KeyIDOf(*job.Codec, job.Payload)
	if err != nil {
		return 0, err
	}
	fmt.Printf("codec %s, key %s, shows the card: %t\n", *job.Codec, key, bytes.Contains(job.Payload, []byte(card)))
	return added.ID, nil
}

// work runs the jobs with the new settings.
func work(ctx context.Context, pool *pgxpool.Pool, loaded *config.Loaded, charges ...int64) error {
	w := worker.New(pool, loaded.WorkerConfig(worker.Config{
		Client: client(loaded),
		Queues: worker.Queues{queue: {Concurrency: 5}},
		Logger: slog.New(slog.DiscardHandler),
	}))
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Charge]) (string, error) {
		return "charged " + job.Args.Card[12:], nil
	})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Thumbnail]) (Stats, error) {
		return Stats{Bytes: len(job.Args)}, nil
	})
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	err := results(ctx, pool, client(loaded), charges)
	stop()
	return errors.Join(err, <-ended)
}

// results awaits two charges and a picture.
func results(ctx context.Context, pool *pgxpool.Pool, q *pgq.Client, ids []int64) error {
	for _, id := range ids[:2] {
		text, err := pgq.Await[string](ctx, q, pool, id)
		if err != nil {
			return err
		}
		fmt.Println(text)
	}
	stats, err := pgq.Await[Stats](ctx, q, pool, ids[2])
	fmt.Println("the picture has", stats.Bytes, "bytes")
	return err
}

// cannotRead shows what who has only the old key gets of a result that was written with the new one.
func cannotRead(ctx context.Context, pool *pgxpool.Pool, q *pgq.Client, id int64) error {
	_, err := pgq.Result[string](ctx, q, pool, id)
	if !errors.Is(err, pgq.ErrUnknownKey) {
		return fmt.Errorf("the result was read without its key: %w", err)
	}
	fmt.Println("without the new key:", errors.Is(err, pgq.ErrUnknownKey))
	return nil
}
