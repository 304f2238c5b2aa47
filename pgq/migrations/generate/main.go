// Command generate writes the migration of the functions and views from the files in pgq/sql.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pgq-go/queue/pgq/migrations/source"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: generate SQL-DIRECTORY OUTPUT-FILE")
	}
	text, err := source.Migration(os.DirFS(os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Clean(os.Args[2]), []byte(text), 0o644); err != nil {
		log.Fatal(fmt.Errorf("write the migration: %w", err))
	}
}
