package board

const plane = `namespace=~"$namespace"`

// Registry is about the registry-manager: proofs, scans, copies.
var Registry = Board{
	UID:   "hypermirror-registry-plane",
	Title: "hypermirror: registry plane",
	Help:  "Whether registries hold what hosted clusters need, and how scans and copies go.",
	Variables: []Variable{
		{"namespace", "Namespace", "label_values(hypermirror_registries, namespace)"},
		{"host", "Registry", `label_values(hypermirror_registry_requests_total{namespace=~"$namespace"}, host)`},
	},
	Console: true,
	Rows: []Row{
		{"Now", []Panel{
			{Title: "Images missing", Unit: Count, Stat: true, Bad: 1,
				Help:    "Hosted clusters that need an image that a registry lacks.",
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_coverage_hosted_clusters{state="Missing",` + plane + `}))`, ""}}},
			{Title: "Not known", Unit: Count, Stat: true, Bad: 1,
				Help:    "Hosted clusters of which it is not known whether registries hold their images.",
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_coverage_hosted_clusters{state="Unknown",` + plane + `}))`, ""}}},
			{Title: "Oldest proof", Unit: Seconds, Stat: true, Bad: 21600,
				Queries: []Query{{`time() - min(max by (cluster, namespace) (hypermirror_coverage_oldest_check_timestamp_seconds{` + plane + `} > 0))`, ""}}},
			{Title: "Failed scans", Unit: Count, Stat: true, Bad: 1,
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_registries{state="Failed",` + plane + `}))`, ""}}},
			{Title: "Failed copies", Unit: Count, Stat: true, Bad: 1,
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_images{state="FAILED",` + plane + `}))`, ""}}},
			{Title: "Pulls left at Docker Hub", Unit: Count, Stat: true,
				Help: "As its last answer said; no data before the first one.",
				Queries: []Query{{`min(max by (cluster, namespace) (image_operator_dockerhub_quota_remaining{` + plane +
					`}) and max by (cluster, namespace) (image_operator_dockerhub_quota_limit{` + plane + `}) > 0)`, ""}}},
		}},
		{"Proof", []Panel{
			{Title: "Hosted clusters by their last check", Unit: Count,
				Queries: []Query{{`sum by (state) (max by (cluster, namespace, state) (hypermirror_coverage_hosted_clusters{` + plane + `}))`, "{{state}}"}}},
			{Title: "Images by verdict", Unit: Count,
				Queries: []Query{{`sum by (state) (max by (cluster, namespace, state) (hypermirror_coverage_images{` + plane + `}))`, "{{state}}"}}},
			{Title: "Duration of checks", Unit: Seconds, Queries: quantiles("hypermirror_coverage_check_duration_seconds", plane)},
		}},
		{"Scans", []Panel{
			{Title: "Registries by their last scan", Unit: Count,
				Queries: []Query{{`sum by (state) (max by (cluster, namespace, state) (hypermirror_registries{` + plane + `}))`, "{{state}}"}}},
			{Title: "Scans by outcome", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_registry_scan_duration_seconds_count{` + plane + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Duration of scans", Unit: Seconds, Queries: quantiles("hypermirror_registry_scan_duration_seconds", plane)},
		}},
		{"Copies", []Panel{
			{Title: "Images by phase", Unit: Count,
				Queries: []Query{{`sum by (state) (max by (cluster, namespace, state) (hypermirror_images{` + plane + `}))`, "{{state}}"}}},
			{Title: "Runs by outcome", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_image_run_duration_seconds_count{` + plane + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Copied bytes", Unit: Bytes, Queries: []Query{
				{`sum(rate(hypermirror_image_copied_bytes_total{` + plane + `}[$__rate_interval]))`, "Images"},
				{`sum(rate(hypermirror_coverage_filled_bytes_total{` + plane + `}[$__rate_interval]))`, "fills"},
			}},
		}},
		{"Fills and builds", []Panel{
			{Title: "Images missing where mirrors are filled", Unit: Count,
				Queries: []Query{{`max by (cluster, namespace) (hypermirror_coverage_fill_remaining{` + plane + `})`, "{{namespace}}"}}},
			{Title: "Fills by outcome", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_coverage_fills_total{` + plane + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "ImageBuilders by phase", Unit: Count,
				Queries: []Query{{`sum by (state) (max by (cluster, namespace, state) (hypermirror_image_builders{` + plane + `}))`, "{{state}}"}}},
		}},
		{"Proof gate and imports", []Panel{
			{Title: "Hosted clusters by their proof", Unit: Count,
				Help: "Of sources without a fallback. Held: they wait for the proof.", Queries: []Query{
					{`sum by (state) (max by (cluster, namespace, state) (hypermirror_mirrors_proven{` + plane + `}))`, "{{state}}"},
					{`sum(max by (cluster, namespace) (hypermirror_proofs_held{` + plane + `}))`, "held"},
				}},
			{Title: "Imports by outcome", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_imports_total{` + plane + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Pods that cannot pull", Unit: Count,
				Help:    "In the namespaces that ImportRules name.",
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_import_failing_pods{` + plane + `}))`, "pods"}}},
		}},
		{"Registries", []Panel{
			{Title: "Requests by registry", Unit: Rate,
				Queries: []Query{{`sum by (host) (rate(hypermirror_registry_requests_total{host=~"$host",` + plane + `}[$__rate_interval]))`, "{{host}}"}}},
			{Title: "Requests that failed", Unit: Rate,
				Queries: []Query{{`sum by (host, code) (rate(hypermirror_registry_requests_total{code=~"error|429|5..",host=~"$host",` + plane +
					`}[$__rate_interval]))`, "{{host}} {{code}}"}}},
			{Title: "Throttled", Unit: Rate,
				Queries: []Query{{`sum by (host) (rate(hypermirror_registry_throttled_total{host=~"$host",` + plane + `}[$__rate_interval]))`, "{{host}}"}}},
		}},
	},
}

// All are the dashboards, by the name of their file.
var All = map[string]Board{"fleet": Fleet, "hosted-cluster": Guest, "registry-plane": Registry}
