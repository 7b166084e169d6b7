// Package board describes dashboards in a few words, and builds them for Grafana and for the console of OpenShift.
package board

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Units of Grafana.
const (
	Count   = "short"
	Seconds = "s"
	Ratio   = "percentunit"
	Rate    = "reqps"
	Bytes   = "Bps"
)

const (
	columns     = 24
	statWidth   = 4
	statHeight  = 4
	graphHeight = 8
)

// Query is PromQL and the legend of its series.
type Query struct{ Expr, Legend string }

// Panel is a graph, or a number with its limits.
type Panel struct {
	Title, Help, Unit string
	Queries           []Query
	// Stat is whether it is a number.
	Stat bool
	// Bad is the value from which a number is red. 0: none.
	Bad float64
}

// Row is a group of panels.
type Row struct {
	Title  string
	Panels []Panel
}

// Variable is a choice of label values. All is the default.
type Variable struct{ Name, Label, Query string }

// Board is a dashboard.
type Board struct {
	UID, Title, Help string
	Variables        []Variable
	Rows             []Row
	// Console is whether there is one for the console of OpenShift, too.
	Console bool
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("$datasource")}
}

// Grafana builds the dashboard of Grafana.
func (board Board) Grafana() (dashboard.Dashboard, error) {
	builder := dashboard.NewDashboardBuilder(board.Title).Uid(board.UID).Description(board.Help).
		Tags([]string{"hypermirror"}).Refresh("30s").Time("now-3h", "now").Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
	for _, variable := range board.Variables {
		builder.WithVariable(dashboard.NewQueryVariableBuilder(variable.Name).Label(variable.Label).
			Query(dashboard.StringOrMap{String: cog.ToPtr(variable.Query)}).Datasource(source()).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{
				Text:  dashboard.StringOrArrayOfString{String: cog.ToPtr("All")},
				Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")},
			}))
	}
	y := uint32(0)
	for _, row := range board.Rows {
		builder.WithRow(dashboard.NewRowBuilder(row.Title).GridPos(dashboard.GridPos{X: 0, Y: y, W: columns, H: 1}))
		y++
		x, height := uint32(0), uint32(0)
		for _, panel := range row.Panels {
			width, tall := panel.size(len(row.Panels))
			if x+width > columns {
				x, y = 0, y+height
			}
			height = tall
			builder.WithPanel(panel.grafana(dashboard.GridPos{X: x, Y: y, W: width, H: height}))
			x += width
		}
		y += height
	}
	return builder.Build()
}

func (panel Panel) size(beside int) (uint32, uint32) {
	if panel.Stat {
		return statWidth, statHeight
	}
	if beside%3 == 0 {
		return columns / 3, graphHeight
	}
	return columns / 2, graphHeight
}

func (panel Panel) targets() []cog.Builder[variants.Dataquery] {
	var targets []cog.Builder[variants.Dataquery]
	for number, query := range panel.Queries {
		target := prometheus.NewDataqueryBuilder().Datasource(source()).Expr(query.Expr).LegendFormat(query.Legend).
			RefId(string(rune('A' + number)))
		if panel.Stat {
			target.Instant()
		} else {
			target.Range()
		}
		targets = append(targets, target)
	}
	return targets
}

func (panel Panel) grafana(place dashboard.GridPos) cog.Builder[dashboard.Panel] {
	if panel.Stat {
		builder := stat.NewPanelBuilder().Title(panel.Title).Description(panel.Help).Unit(panel.Unit).
			Datasource(source()).GridPos(place).NoValue("no data").Thresholds(panel.thresholds()).
			Orientation(common.VizOrientationAuto).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
		for _, target := range panel.targets() {
			builder.WithTarget(target)
		}
		return builder
	}
	legend := common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).
		Placement(common.LegendPlacementBottom).ShowLegend(true)
	builder := timeseries.NewPanelBuilder().Title(panel.Title).Description(panel.Help).Unit(panel.Unit).
		Datasource(source()).GridPos(place).Min(0).FillOpacity(10).Legend(legend)
	for _, target := range panel.targets() {
		builder.WithTarget(target)
	}
	return builder
}

func (panel Panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "green"}}
	if panel.Bad > 0 {
		steps = append(steps, dashboard.Threshold{Color: "red", Value: cog.ToPtr(panel.Bad)})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

// OfConsole builds the dashboard of OpenShift's console, which knows rows with graphs and numbers of Grafana's older format.
func (board Board) OfConsole() map[string]any {
	var variables, rows []any
	for _, variable := range board.Variables {
		variables = append(variables, map[string]any{
			"name": variable.Name, "label": variable.Label, "type": "query", "query": variable.Query, "includeAll": true,
			"allValue": ".*", "current": map[string]any{"text": "All", "value": "$__all"}, "refresh": 2, "datasource": "prometheus",
		})
	}
	id := 0
	for _, row := range board.Rows {
		var panels []any
		for _, panel := range row.Panels {
			id++
			panels = append(panels, panel.ofConsole(id, len(row.Panels)))
		}
		rows = append(rows, map[string]any{"title": row.Title, "showTitle": true, "collapse": false, "panels": panels})
	}
	return map[string]any{
		"title": board.Title, "uid": board.UID, "tags": []string{"hypermirror"}, "refresh": "30s", "schemaVersion": 14,
		"time":       map[string]any{"from": "now-3h", "to": "now"},
		"templating": map[string]any{"list": variables}, "rows": rows,
	}
}

func (panel Panel) ofConsole(id, beside int) map[string]any {
	var targets []any
	for number, query := range panel.Queries {
		targets = append(targets, map[string]any{
			"expr":         strings.ReplaceAll(query.Expr, "$__rate_interval", "5m"),
			"legendFormat": query.Legend, "refId": string(rune('A' + number)), "format": "time_series", "instant": panel.Stat,
		})
	}
	width, _ := panel.size(beside)
	described := map[string]any{
		"id": id, "title": panel.Title, "description": panel.Help, "datasource": "prometheus", "span": width / 2, "targets": targets,
	}
	if panel.Stat {
		described["type"], described["format"], described["valueName"] = "singlestat", panel.Unit, "current"
	} else {
		described["type"], described["legend"] = "graph", map[string]any{"show": true}
		described["yaxes"] = []any{map[string]any{"format": panel.Unit, "min": 0, "show": true}, map[string]any{"show": false}}
	}
	return described
}

// quantiles are the median and the 99th percentile of a histogram.
func quantiles(histogram, selector string) []Query {
	var queries []Query
	for _, quantile := range []string{"0.5", "0.99"} {
		expr := fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s_bucket{%s}[$__rate_interval])))", quantile, histogram, selector)
		queries = append(queries, Query{expr, "quantile " + quantile})
	}
	return queries
}
