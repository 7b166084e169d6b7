package draw

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
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
	// The steps that are drawn, in order; none: all.
	drawn []int
}

// steps is the number of points that a query answers.
const steps = 600

// series is a line.
type series struct {
	name   string
	points []point
}

// A point has its place in the graph and the step of the query.
type point struct {
	x, y float64
	step int
}

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
			step := int(math.Round((at - begin) / server.Window.Seconds() * steps))
			if x, ok := server.place(step); ok {
				line.points = append(line.points, point{x, y, step})
			}
		}
		if len(line.points) > 0 {
			all = append(all, line)
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a].name < all[b].name })
	return all, nil
}

func unix(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
}

var placeholder = regexp.MustCompile(`{{[^}]*}}`)

// named is a legend with the labels of a series. A label that it lacks is empty, as in Grafana.
func named(legend string, labels map[string]string) string {
	return placeholder.ReplaceAllStringFunc(legend, func(found string) string {
		return labels[strings.TrimSpace(strings.Trim(found, "{}"))]
	})
}

// place is where a step is in the graph, from 0 to 1, if it is drawn.
func (server Server) place(step int) (float64, bool) {
	if server.drawn == nil {
		return float64(step) / steps, true
	}
	index, ok := slices.BinarySearch(server.drawn, step)
	return float64(index) / float64(max(1, len(server.drawn)-1)), ok
}

// Cropped is the same server with the times in which one of the queries has data: processes that are scraped one after another are
// drawn without the time between them.
func (server Server) Cropped(exprs []string) (Server, error) {
	found := map[int]bool{}
	for _, expr := range exprs {
		lines, err := server.query(expr, "")
		if err != nil {
			return server, err
		}
		for _, line := range lines {
			for _, point := range line.points {
				found[point.step] = true
			}
		}
	}
	if len(found) > 1 {
		server.drawn = slices.Sorted(maps.Keys(found))
	}
	return server, nil
}

// shownTime is the time that is drawn.
func (server Server) shownTime() time.Duration {
	if server.drawn == nil {
		return server.Window
	}
	return server.Window * time.Duration(len(server.drawn)-1) / steps
}
