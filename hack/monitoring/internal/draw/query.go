package draw

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Server is a Prometheus server and the time that is drawn.
type Server struct {
	URL    string
	End    time.Time
	Window time.Duration
}

// steps is the number of points of a graph.
const steps = 120

// series is a line.
type series struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// The variables of the dashboards: everything.
var variables = strings.NewReplacer(
	"$__rate_interval", "1m", "$namespace", ".*", "$cluster", ".*", "$instance", ".*", "$host", ".*",
)

// query asks for the series of one target. The positions of points are parts of the window.
func (server Server) query(expr, legend string) ([]series, error) {
	parameters := url.Values{"query": {variables.Replace(expr)}}
	parameters.Set("start", unix(server.End.Add(-server.Window)))
	parameters.Set("end", unix(server.End))
	parameters.Set("step", strconv.FormatFloat(server.Window.Seconds()/steps, 'f', 3, 64))
	response, err := http.Get(server.URL + "/api/v1/query_range?" + parameters.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	var all []series
	for _, result := range answer.Data.Result {
		line := series{name: named(legend, result.Metric)}
		for _, value := range result.Values {
			at, _ := value[0].(float64)
			text, _ := value[1].(string)
			y, err := strconv.ParseFloat(text, 64)
			if err != nil || y != y {
				continue
			}
			begin := float64(server.End.Add(-server.Window).UnixMilli()) / 1000
			line.points = append(line.points, point{(at - begin) / server.Window.Seconds(), y})
		}
		all = append(all, line)
	}
	sort.Slice(all, func(a, b int) bool { return all[a].name < all[b].name })
	return all, nil
}

func unix(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
}

func named(legend string, labels map[string]string) string {
	for label, value := range labels {
		legend = strings.ReplaceAll(legend, "{{"+label+"}}", value)
	}
	return legend
}

// Cropped is the same server with the part of its window in which the panels have data.
func (server Server) Cropped(exprs []string) (Server, error) {
	first, last := 1.0, 0.0
	for _, expr := range exprs {
		lines, err := server.query(expr, "")
		if err != nil {
			return server, err
		}
		for _, line := range lines {
			for _, point := range line.points {
				first, last = min(first, point.x), max(last, point.x)
			}
		}
	}
	if first >= last {
		return server, nil
	}
	whole := server.Window
	server.End = server.End.Add(-time.Duration((1 - last) * float64(whole)))
	server.Window = time.Duration((last - first) * float64(whole))
	return server, nil
}
