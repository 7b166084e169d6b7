// dashboards writes the dashboards of monitoring/dashboards, checks them, and draws them with the data of a Prometheus server.
//
//	dashboards write DIRECTORY
//	dashboards check FILE...
//	dashboards draw URL WINDOW DIRECTORY FILE...
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/hypermirror/hypermirror/hack/monitoring/internal/board"
	"github.com/hypermirror/hypermirror/hack/monitoring/internal/draw"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	plugins.RegisterDefaultPlugins()
	switch {
	case len(arguments) == 2 && arguments[0] == "write":
		return write(arguments[1])
	case len(arguments) > 1 && arguments[0] == "check":
		for _, file := range arguments[1:] {
			if _, err := read(file); err != nil {
				return err
			}
		}
		return nil
	case len(arguments) > 4 && arguments[0] == "draw":
		window, err := time.ParseDuration(arguments[2])
		if err != nil {
			return err
		}
		server := draw.Server{URL: arguments[1], End: time.Now(), Window: window}
		for _, file := range arguments[4:] {
			if err := picture(server, arguments[3], file); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("usage: dashboards write DIRECTORY | check FILE... | draw URL WINDOW DIRECTORY FILE...")
}

func write(directory string) error {
	for name, described := range board.All {
		grafana, err := described.Grafana()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := save(filepath.Join(directory, name+".json"), grafana); err != nil {
			return err
		}
		if described.Console {
			if err := save(filepath.Join(directory, "console", name+".json"), described.OfConsole()); err != nil {
				return err
			}
		}
	}
	return nil
}

func save(path string, value any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	// Queries stay readable.
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// read decodes a dashboard strictly: a field that Grafana's schema does not have is an error.
func read(file string) (dashboard.Dashboard, error) {
	var decoded dashboard.Dashboard
	text, err := os.ReadFile(file)
	if err != nil {
		return decoded, err
	}
	if err := json.Unmarshal(text, &decoded); err != nil {
		return decoded, fmt.Errorf("%s: %w", file, err)
	}
	// The strict decoder leaves panels out, so its result is not used.
	var strict dashboard.Dashboard
	for _, err := range []error{strict.UnmarshalJSONStrict(text), decoded.Validate()} {
		if isFailure(err) {
			return decoded, fmt.Errorf("%s: %w", file, err)
		}
	}
	return decoded, nil
}

// isFailure tells an error from the empty list of errors that the SDK returns for some correct panels.
func isFailure(err error) bool {
	var list cog.BuildErrors
	return err != nil && !(errors.As(err, &list) && len(list) == 0)
}

func picture(server draw.Server, directory, file string) error {
	decoded, err := read(file)
	if err != nil {
		return err
	}
	svg, err := server.Dashboard(decoded)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	name := filepath.Base(file)
	name = name[:len(name)-len(filepath.Ext(name))] + ".svg"
	return os.WriteFile(filepath.Join(directory, name), svg, 0o644)
}
