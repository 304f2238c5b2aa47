// Package command reads which programs run which kinds of jobs, for pgq-admin worker.
//
//	kinds:
//	  thumbnail:
//	    run: [./thumbnail.sh, --size, "64"]   # no shell reads it
//	    timeout: 1m
//	  report:
//	    shell: psql -f report.sql | gzip      # by /bin/sh -c
//	    output: none
//
// They stand in the file that holds the other settings (package settings). What is unknown or breaks a rule is refused with
// its line. What programs meet when they run is told by package worker/command.
package command
