package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

func topCommand(a *app) *cobra.Command {
	var interval time.Duration
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch queues and running jobs live in the terminal",
		Long: `Watch live in the terminal: queues with their rates, and the jobs that run, longest first.

Keys: q quits, p pauses and goes on, s changes the order of the queues (name, depth, oldest, rate, failed), any other key looks
again at once.`,
		Example: `  pgq-admin top --interval 1s`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond {
				return usagef("--interval must be at least 100ms, not %s", interval)
			}
			if !output.IsTerminal(a.in) || !a.screen().Terminal {
				return usagef("top needs a terminal").WithFix("pgq-admin status shows the same once, with --watch again and again")
			}
			s, err := a.open(c)
			if err != nil {
				return err
			}
			defer s.close()
			return a.top(c.Context(), s, interval)
		},
	}
	a.schemaFlag(c.Flags())
	durationVar(c.Flags(), &interval, "interval", watchEvery, "`TIME` between two looks; looks that cost much are less frequent")
	return c
}

// topJobs is how many running jobs are read.
const topJobs = 200

// Ctrl-C is a key like others where keys come at once.
const (
	keyCtrlC        = 3
	exitInterrupted = 130
)

// orders are those of the queues in top.
var orders = []struct {
	name string
	less func(a, b queueRow) int
}{
	{"name", func(a, b queueRow) int { return cmp.Compare(a.Queue, b.Queue) }},
	{"depth", func(a, b queueRow) int { return cmp.Compare(b.Depth, a.Depth) }},
	{"oldest", func(a, b queueRow) int { return cmp.Compare(ageOf(b), ageOf(a)) }},
	{"rate", func(a, b queueRow) int { return cmp.Compare(b.lately.PerMinute, a.lately.PerMinute) }},
	{"failed", func(a, b queueRow) int { return cmp.Compare(b.lately.Failed, a.lately.Failed) }},
}

func ageOf(q queueRow) time.Duration {
	if q.OldestReadyAge == nil {
		return -1
	}
	return *q.OldestReadyAge
}

// topView is what top shows.
type topView struct {
	screen  output.Screen
	queues  *output.Table[queueRow]
	running *output.Table[pgq.RunningJob]
	order   int
	paused  bool
	seen    *look
	size    [2]int // of the terminal that was drawn on
}

// top shows the view until the user quits or the context ends. The terminal is given back whatever happens.
func (a *app) top(ctx context.Context, s *session, interval time.Duration) error {
	v := &topView{screen: a.screen()}
	var err error
	if v.queues, err = output.NewTable(&output.Options{}, queueColumns); err != nil {
		return err
	}
	if v.running, err = output.NewTable(&output.Options{}, runningColumns); err != nil {
		return err
	}
	if v.seen = s.look(ctx); v.seen.err != nil { // before the terminal is taken over, so that the error stays to be seen
		return v.seen.err
	}
	stage, err := output.NewStage(a.in, v.screen)
	if err != nil {
		return err
	}
	defer stage.Close() //nolint:errcheck // there is nobody left to tell
	err = v.run(ctx, s, stage, interval)
	if closed := stage.Close(); err == nil {
		err = closed
	}
	return err
}

// resizeEvery is how often the size of the terminal is looked at, since not all systems tell of changes.
const resizeEvery = 200 * time.Millisecond

// run draws, looks again now and then, and does what keys say, also while a look takes its time.
func (v *topView) run(ctx context.Context, s *session, stage *output.Stage, interval time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	looks := make(chan *look, 1)
	looking := false
	defer func() {
		cancel()
		if looking {
			<-looks // it uses the connection
		}
	}()
	again := func() {
		if !looking {
			looking = true
			stage.Go(func() { looks <- s.look(ctx) })
		}
	}
	resize, next := time.NewTicker(resizeEvery), time.NewTimer(interval)
	defer resize.Stop()
	defer next.Stop()
	for {
		if err := v.draw(stage); err != nil {
			return err
		}
		for drawn := true; drawn; {
			drawn = false
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case key, ok := <-stage.Keys():
				quit, err := v.press(key, again)
				if !ok || quit {
					return err
				}
			case l := <-looks:
				looking = false
				if l.err != nil {
					return cmp.Or(context.Cause(ctx), l.err)
				}
				v.seen = l
				next.Reset(max(interval, 3*l.took))
			case <-next.C:
				if v.paused {
					next.Reset(interval)
				} else {
					again()
				}
				drawn = true
			case <-resize.C:
				width, height := v.screen.Size()
				drawn = v.size == [2]int{width, height}
			}
		}
	}
}

// press does what a key says.
func (v *topView) press(key byte, again func()) (quit bool, err error) {
	switch key {
	case 'q', 'Q':
		return true, nil
	case keyCtrlC:
		return true, &output.Error{Code: exitInterrupted, Err: errInterrupted}
	case 'p', 'P':
		v.paused = !v.paused
	case 's', 'S':
		v.order = (v.order + 1) % len(orders)
	default:
		again()
	}
	return false, nil
}

// look is what was read at one instant.
type look struct {
	now  overview
	jobs []pgq.RunningJob
	took time.Duration
	err  error
}

// look reads what is to be shown.
func (s *session) look(ctx context.Context) *look {
	begin := time.Now()
	l := &look{}
	if l.now, l.err = s.overview(ctx); l.err == nil {
		l.jobs, l.err = s.q.RunningJobs(ctx, s.conn, 0, topJobs)
	}
	l.took = time.Since(begin)
	return l
}

// draw shows what was read last, in the order that the user wants, as much as there is room for.
func (v *topView) draw(stage *output.Stage) error {
	width, height := v.screen.Size()
	v.size = [2]int{width, height}
	order := orders[v.order]
	queues := slices.Clone(v.seen.now.queues)
	slices.SortStableFunc(queues, order.less)
	help := fmt.Sprintf("q quit  p pause  s order: %s", order.name)
	if v.paused {
		help = v.screen.Paint(output.Yellow, "paused, p goes on") + "  q quit  s order: " + order.name
	}
	lines := append(v.seen.now.lines(v.screen), help, "")
	room := max(2, height-len(lines))
	// Running jobs have at least a third of the room, and what the queues leave.
	forQueues := min(len(queues)+1, max(2, room-max(room/3, 3)))
	lines = append(lines, clip(v.queues.Lines(v.screen, queues), forQueues)...)
	lines = append(append(lines, ""), clip(v.running.Lines(v.screen, v.seen.jobs), max(2, room-forQueues-1))...)
	return stage.Draw(lines)
}

// clip returns the first lines, of which the last says how many more there are.
func clip(lines []string, room int) []string {
	if len(lines) <= room {
		return lines
	}
	return append(lines[:room-1:room-1], fmt.Sprintf("… and %d more", len(lines)-room+1))
}
