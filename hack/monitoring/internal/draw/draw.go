// Package draw draws dashboards as SVG, so that they can be looked at without Grafana.
package draw

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// Pixels of one column and one row of Grafana's grid, and of the space around a graph.
const (
	column = 50
	line   = 28
	margin = 8
	left   = 62
	top    = 42
	bottom = 56
)

var colors = []string{"#3274d9", "#e0752d", "#299c46", "#a352cc", "#e02f44", "#b7950b", "#1f9a9a", "#7f7f7f"}

// Dashboard draws all panels. A query that Prometheus refuses is an error.
func (server Server) Dashboard(board dashboard.Dashboard) ([]byte, error) {
	// The first number has data exactly while a process that the board is about is scraped; rates have some afterwards.
	var numbers []string
	for _, entry := range board.Panels {
		if entry.Panel != nil && entry.Panel.Type == "stat" {
			queries, err := queriesOf(*entry.Panel)
			if err != nil {
				return nil, err
			}
			for _, query := range queries {
				numbers = append(numbers, query.Expr)
			}
			break
		}
	}
	server, err := server.Cropped(numbers)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	height := 0
	for _, entry := range board.Panels {
		if row := entry.RowPanel; row != nil {
			place := row.GridPos
			fmt.Fprintf(&body, `<text x="%d" y="%d" class="row">%s</text>`+"\n", margin, int(place.Y+1)*line-8, escaped(*row.Title))
			continue
		}
		panel := entry.Panel
		if panel == nil || panel.GridPos == nil {
			continue
		}
		place := *panel.GridPos
		height = max(height, int(place.Y+place.H)*line)
		lines, err := server.lines(*panel)
		if err != nil {
			return nil, err
		}
		frame(&body, *panel, lines, server.shownTime())
	}
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%d" font-family="sans-serif" font-size="12">
<style>.row{font-size:15px;font-weight:bold}.title{font-weight:bold}.grid{stroke:#d5d9e0}.axis{fill:#667}.big{font-size:30px}</style>
<rect width="100%%" height="100%%" fill="#f4f5f8"/>
`, 24*column, height+margin, height+margin)
	svg.Write(body.Bytes())
	svg.WriteString("</svg>\n")
	return svg.Bytes(), nil
}

func queriesOf(panel dashboard.Panel) ([]prometheus.Dataquery, error) {
	var queries []prometheus.Dataquery
	for _, target := range panel.Targets {
		switch typed := target.(type) {
		case prometheus.Dataquery:
			queries = append(queries, typed)
		case *prometheus.Dataquery:
			queries = append(queries, *typed)
		default:
			return nil, fmt.Errorf("%s: not a query of Prometheus: %T", *panel.Title, target)
		}
	}
	return queries, nil
}

func (server Server) lines(panel dashboard.Panel) ([]series, error) {
	queries, err := queriesOf(panel)
	if err != nil {
		return nil, err
	}
	var all []series
	for _, query := range queries {
		legend := ""
		if query.LegendFormat != nil {
			legend = *query.LegendFormat
		}
		found, err := server.query(query.Expr, legend)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", *panel.Title, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// frame draws one panel.
func frame(svg *bytes.Buffer, panel dashboard.Panel, lines []series, window time.Duration) {
	place := *panel.GridPos
	x, y := int(place.X)*column+margin/2, int(place.Y)*line+margin/2
	width, height := int(place.W)*column-margin, int(place.H)*line-margin
	fmt.Fprintf(svg, `<g transform="translate(%d,%d)"><rect width="%d" height="%d" fill="#fff" stroke="#d8dbe0" rx="3"/>`, x, y, width, height)
	fmt.Fprintf(svg, `<text x="10" y="20" class="title">%s</text>`+"\n", escaped(*panel.Title))
	unit := ""
	if panel.FieldConfig != nil && panel.FieldConfig.Defaults.Unit != nil {
		unit = *panel.FieldConfig.Defaults.Unit
	}
	switch {
	case len(lines) == 0:
		fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="middle" class="axis">no data</text>`, width/2, height/2+12)
	case panel.Type == "stat":
		points := lines[0].points
		text := "no data"
		if len(points) > 0 {
			text = shown(points[len(points)-1].y, unit)
		}
		fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="middle" class="big">%s</text>`, width/2, height/2+22, text)
	default:
		graph(svg, lines, unit, width, height)
		fmt.Fprintf(svg, `<text x="%d" y="%d" class="axis">0 s</text>`, left, height-bottom+16)
		fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="end" class="axis">%s</text>`, width-12, height-bottom+16, shown(window.Seconds(), "s"))
	}
	svg.WriteString("</g>\n")
}

func graph(svg *bytes.Buffer, lines []series, unit string, width, height int) {
	highest := 0.0
	for _, one := range lines {
		for _, point := range one.points {
			highest = math.Max(highest, point.y)
		}
	}
	highest = rounded(highest)
	across, down := float64(width-left-12), float64(height-top-bottom)
	for part := 0; part <= 4; part++ {
		at := float64(top) + down*float64(4-part)/4
		fmt.Fprintf(svg, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="grid"/>`, left, width-12, at, at)
		fmt.Fprintf(svg, `<text x="%d" y="%.1f" text-anchor="end" class="axis">%s</text>`, left-5, at+4, shown(highest*float64(part)/4, unit))
	}
	for number, one := range lines {
		var path strings.Builder
		for index, point := range one.points {
			command := "L"
			// What lacks for some seconds was not scraped.
			if index == 0 || point.step-one.points[index-1].step > 10 {
				command = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", command, left+point.x*across, float64(top)+down*(1-point.y/highest))
		}
		fmt.Fprintf(svg, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6"/>`, path.String(), colors[number%len(colors)])
	}
	legend(svg, lines, width, height)
	svg.WriteString("\n")
}

// legend names the lines. What has no room is counted.
func legend(svg *bytes.Buffer, lines []series, width, height int) {
	at, y := left, height-16
	for number, one := range lines {
		if one.name == "" {
			continue
		}
		// Room for the count of those that follow.
		room := width - 12
		if number < len(lines)-1 {
			room -= 30
		}
		if at+14+7*len(one.name) > room {
			fmt.Fprintf(svg, `<text x="%d" y="%d" class="axis">+%d</text>`, at, y, len(lines)-number)
			return
		}
		fmt.Fprintf(svg, `<rect x="%d" y="%d" width="10" height="3" fill="%s"/><text x="%d" y="%d">%s</text>`,
			at, y-5, colors[number%len(colors)], at+14, y, escaped(one.name))
		at += 28 + 7*len(one.name)
	}
}

// rounded is the end of the axis: the next 1, 2 or 5.
func rounded(value float64) float64 {
	if value <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, factor := range []float64{1, 2, 5} {
		if value <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

// shown is a value with its unit, in few characters.
func shown(value float64, unit string) string {
	short := func(value float64) string {
		if value >= 1000 {
			return strconv.FormatFloat(value, 'f', 0, 64)
		}
		return strconv.FormatFloat(value, 'g', 3, 64)
	}
	switch unit {
	case "s":
		switch {
		case value == 0:
			return "0 s"
		case value < 1:
			return short(value*1000) + " ms"
		case value >= 2*365*86400:
			return short(value/365/86400) + " y"
		case value >= 86400:
			return short(value/86400) + " d"
		case value >= 3600:
			return short(value/3600) + " h"
		case value >= 120:
			return short(value/60) + " min"
		}
		return short(value) + " s"
	case "percentunit":
		return short(value*100) + " %"
	case "reqps":
		return short(value) + "/s"
	}
	if value >= 1e6 {
		return short(value/1e6) + "M"
	}
	if value >= 1e4 {
		return short(value/1e3) + "k"
	}
	return short(value)
}

func escaped(text string) string { return html.EscapeString(text) }
