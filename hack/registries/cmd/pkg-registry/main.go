// Command pkg-registry serves the registry of go-containerregistry (pkg/registry), which has neither TLS nor authentication,
// with both. Who is let in decides the code of distribution.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/auth"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hypermirror/hypermirror/hack/registries/internal/parent"
)

// config is read from the file that is the only argument.
type config struct {
	Address     string         `json:"address"`
	Certificate string         `json:"certificate"`
	Key         string         `json:"key"`
	Auth        string         `json:"auth"`
	Options     map[string]any `json:"options"`
}

func main() {
	parent.Watch()
	flag.Parse()
	if err := run(flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config config
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	handler := registry.New(registry.WithReferrersSupport(true))
	if config.Auth != "" {
		controller, err := auth.GetAccessController(config.Auth, config.Options)
		if err != nil {
			return err
		}
		handler = guarded(handler, controller)
	}
	server := &http.Server{Addr: config.Address, Handler: handler, ReadHeaderTimeout: time.Minute}
	if config.Certificate == "" {
		return server.ListenAndServe()
	}
	return server.ListenAndServeTLS(config.Certificate, config.Key)
}

// guarded lets in who may.
func guarded(handler http.Handler, controller auth.AccessController) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := controller.Authorized(r, needed(r)...)
		var challenge auth.Challenge
		switch {
		case err == nil:
			handler.ServeHTTP(w, r)
		case errors.As(err, &challenge):
			challenge.SetHeaders(r, w)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}

// needed returns what a request needs to be allowed.
func needed(r *http.Request) []auth.Access {
	name := strings.TrimPrefix(r.URL.Path, "/v2/")
	for _, word := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if at := strings.LastIndex(name, word); at > 0 {
			resource := auth.Resource{Type: "repository", Name: name[:at]}
			access := []auth.Access{{Resource: resource, Action: "pull"}}
			switch r.Method {
			case http.MethodGet, http.MethodHead:
			case http.MethodDelete:
				access[0].Action = "delete"
			default:
				access = append(access, auth.Access{Resource: resource, Action: "push"})
			}
			if from := r.URL.Query().Get("from"); from != "" {
				other := auth.Resource{Type: "repository", Name: from}
				access = append(access, auth.Access{Resource: other, Action: "pull"})
			}
			return access
		}
	}
	return nil
}
