package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// versions are those of the program and of what it is made of.
type versions struct {
	Version       string `json:"version"`
	Commit        string `json:"commit,omitempty"`
	SchemaVersion int64  `json:"schema_version"`
	Go            string `json:"go"`
	OS            string `json:"os"`
	Arch          string `json:"arch"`
}

// ownVersions returns what the program knows of itself.
func ownVersions() versions {
	v := versions{Version: "(devel)", SchemaVersion: pgq.SchemaVersion, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}

// String is for people.
func (v versions) String() string {
	commit := ""
	if v.Commit != "" {
		commit = " commit " + v.Commit
	}
	return fmt.Sprintf("%s%s, schema version %d, %s %s/%s", v.Version, commit, v.SchemaVersion, v.Go, v.OS, v.Arch)
}

func versionCommand(a *app) *cobra.Command {
	var o output.Options
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of the program and of the schema it works with",
		Example: "  pgq-admin version -o json | jq .schema_version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := ownVersions()
			if !o.Format.ForPeople() {
				return output.Document(a.out, o.Format, v)
			}
			_, err := fmt.Fprintln(a.out, "pgq-admin", v)
			return err
		},
	}
	o.FormatFlag(c.Flags(), output.Documents...)
	return c
}
