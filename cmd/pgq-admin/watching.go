package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
)

// watchEvery is how often --watch looks.
const watchEvery = 2 * time.Second

// watching is whether to show something again and again, and how often.
type watching struct {
	on       bool
	interval time.Duration
}

func (w *watching) flags(flags *pflag.FlagSet, every time.Duration) {
	flags.BoolVar(&w.on, "watch", false, "show it again and again until Ctrl-C: on a terminal in place, elsewhere one below the other")
	durationVar(flags, &w.interval, "interval", every, "`TIME` between two looks with --watch; looks that cost much are less frequent")
}

// check refuses intervals that are too short.
func (w *watching) check() error {
	if w.interval < 10*time.Millisecond {
		return usagef("--interval must be at least 10ms, not %s", w.interval)
	}
	return nil
}

// show shows something once, or again and again.
func (w *watching) show(ctx context.Context, s output.Screen, show func(output.Screen) error) error {
	if !w.on {
		return show(s)
	}
	return output.Watch(ctx, s, w.interval, show)
}

// noter is note of a command.
func (w *watching) noter(a *app, screen output.Screen, o output.Options) func(format string, args ...any) {
	return func(format string, args ...any) { w.note(a, screen, o, format, args...) }
}

// note tells people something besides the output; among what is shown where that is drawn again and again.
func (w *watching) note(a *app, screen output.Screen, o output.Options, format string, args ...any) {
	if w.on && o.Format.ForPeople() {
		fmt.Fprintf(screen, format+"\n", args...)
		return
	}
	a.note(o, format, args...)
}
