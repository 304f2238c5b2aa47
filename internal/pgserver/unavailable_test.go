package pgserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWhenNothingIsFoundTheErrorListsEveryWayAndWhatToDo(t *testing.T) {
	t.Parallel()
	repository := httptest.NewServer(http.NotFoundHandler())
	defer repository.Close()
	_, err := Start(t.Context(), Options{
		Image:         "127.0.0.1:1/no/such/image",
		EmbeddedURL:   repository.URL,
		embeddedCache: t.TempDir(),
		programDirs:   []string{t.TempDir()},
	})
	var failed *UnavailableError
	if !errors.As(err, &failed) || len(failed.Attempts) != 4 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"url: ", "PGQ_DATABASE_URL is not set",
		"local: ", "no PostgreSQL programs",
		"docker: ",
		"embedded: ", repository.URL, "no version found",
		"sudo apt-get update && sudo apt-get install -y postgresql\n",
		"export PGQ_DATABASE_URL=",
		"PGQ_POSTGRES_IMAGE",
		"PGQ_EMBEDDED_POSTGRES_URL",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	t.Logf("the error:\n%v", err)
}

func TestOneWayCanBeForced(t *testing.T) {
	t.Setenv("PGQ_POSTGRES", "url")
	_, err := Start(t.Context(), Options{})
	var failed *UnavailableError
	if !errors.As(err, &failed) || len(failed.Attempts) != 1 || failed.Attempts[0].Way != WayURL {
		t.Errorf("PGQ_POSTGRES=url: got %v", err)
	}
	if _, err = Start(t.Context(), Options{Private: true}); err == nil || !strings.Contains(err.Error(), "PGQ_POSTGRES=url") {
		t.Errorf("PGQ_POSTGRES=url and Private: got %v", err)
	}
	t.Setenv("PGQ_POSTGRES", "sqlite")
	if _, err = Start(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), `"sqlite"`) {
		t.Errorf("PGQ_POSTGRES=sqlite: got %v", err)
	}
	t.Setenv("PGQ_POSTGRES", "local")
	t.Setenv("PGQ_DATABASE_URL", "postgres://127.0.0.1:1/none")
	s, err := Start(t.Context(), Options{Settings: TestSettings()})
	if err != nil {
		t.Fatalf("PGQ_POSTGRES=local: got %v", err)
	}
	defer s.Close()
	if s.cluster == nil {
		t.Errorf("PGQ_POSTGRES=local: got %s", s.Origin)
	}
}
