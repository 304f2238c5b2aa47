// Saga books a trip in three jobs. If one of them fails for good, the bookings before it are undone in reverse order.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Book asks to book something; its result is the number of the booking.
type Book struct {
	What    string `json:"what"`
	SoldOut bool   `json:"sold_out"`
}

// Kind names this kind of job for ever.
func (Book) Kind() string { return "book" }

// Undo asks to cancel what was booked by another node.
type Undo struct {
	Node string `json:"node"`
}

// Kind names this kind of job for ever.
func (Undo) Kind() string { return "undo" }

const queue = "example_saga"

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

	w := worker.New(pool, worker.Config{Queues: worker.Queues{queue: {}}, Logger: slog.New(slog.DiscardHandler)})
	worker.HandleResult(w, book)
	worker.Handle(w, undo)
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	defer func() { stop(); <-ended }()

	d := dagsql.NewClient(pgq.New(pgq.Config{}))
	for _, soldOut := range []string{"", "car", "hotel"} {
		dag, err := d.Submit(ctx, pool, trip(soldOut))
		if err != nil {
			return err
		}
		end, err := d.Await(ctx, pool, dag.ID)
		if err != nil {
			return err
		}
		if fmt.Print("the trip is ", end.State); end.Error != nil {
			fmt.Print(": ", *end.Error)
		}
		fmt.Println()
	}
	return nil
}

// trip returns the DAG of a trip: bookings one after the other, and what undoes them the other way round.
func trip(soldOut string) *dagsql.Builder {
	b := dagsql.New("trip", dagsql.Options{Queue: queue})
	flight := b.Add("flight", Book{What: "flight"})
	hotel := b.Add("hotel", Book{What: "hotel", SoldOut: soldOut == "hotel"}).After(flight)
	car := b.Add("car", Book{What: "car", SoldOut: soldOut == "car"}).After(hotel)

	// The car is skipped if something before it failed, which is a failure as well: so this looks at all of them. It
	// changes nothing about the DAG, which fails.
	undoHotel := b.Add("undo hotel", Undo{Node: "hotel"}).AfterFailure(car)
	b.Add("undo flight", Undo{Node: "flight"}).After(undoHotel)
	return b
}

func book(_ context.Context, job *pgq.Job[Book]) (string, error) {
	if job.Args.SoldOut {
		fmt.Println("no", job.Args.What, "is left")
		return "", pgq.Permanent(errors.New("sold out")) // no further attempts
	}
	fmt.Println("booked a", job.Args.What)
	return job.Args.What + "-1", nil
}

// undo asks what was booked; if nothing was, there is nothing to do.
func undo(ctx context.Context, job *pgq.Job[Undo]) error {
	booking, booked, err := dagsql.Maybe[string](ctx, job.Attempt, job.Args.Node)
	if booked {
		fmt.Println("cancelled", booking)
	}
	return err
}
