package structure

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEverySQLFileBeginsWithItsDocumentation(t *testing.T) {
	t.Parallel()
	root, _ := repository(t)
	err := walk(root, func(name string) error {
		if !within(name, "pgq/sql") || !strings.HasSuffix(name, ".sql") {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if text := string(content); !strings.HasPrefix(text, "-- ") && !strings.HasPrefix(text, "/*") {
			t.Errorf("%s does not begin with a comment", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
