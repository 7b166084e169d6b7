package board

const manager = `namespace=~"$namespace"`

// Fleet is about all hosted clusters: whether edits arrive, and what holds them.
var Fleet = Board{
	UID:   "hypermirror-fleet",
	Title: "hypermirror: fleet",
	Help:  "Whether edits of mirrors reach control planes and nodes, and what holds them.",
	Variables: []Variable{
		{"namespace", "Namespace", "label_values(hypermirror_hosted_clusters, namespace)"},
	},
	Console: true,
	Rows: []Row{
		{"Now", []Panel{
			{Title: "Hosted clusters", Unit: Count, Stat: true,
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_hosted_clusters{` + manager + `}))`, ""}}},
			{Title: "Control planes pending", Unit: Count, Stat: true,
				Help:    "Hosted clusters whose target Deployments are behind the last edit.",
				Queries: []Query{{`sum(hypermirror_control_planes_pending{` + manager + `})`, ""}}},
			{Title: "Oldest pending edit", Unit: Seconds, Stat: true, Bad: 900,
				Help:    "Of control planes whose change nothing holds.",
				Queries: []Query{{`max(hypermirror_control_planes_pending_seconds{reason="Updating",` + manager + `})`, ""}}},
			{Title: "Nodes pending", Unit: Count, Stat: true,
				Queries: []Query{{`sum(hypermirror_nodes_pending{` + manager + `})`, ""}}},
			{Title: "Held or halted", Unit: Count, Stat: true, Bad: 1,
				Help: "Hosted clusters whose mass removal waits for approval, plus 1 while rollouts are halted.",
				Queries: []Query{{`sum(max by (cluster, namespace) (hypermirror_removals_held{` + manager +
					`})) + sum(max by (cluster, namespace) (hypermirror_rollouts_halted{` + manager + `}))`, ""}}},
			{Title: "Leaders", Unit: Count, Stat: true,
				Help:    "One for each manager, and one for each registry-manager.",
				Queries: []Query{{`sum(hypermirror_leader{` + manager + `})`, ""}}},
		}},
		{"Edits to control planes", []Panel{
			{Title: "Control planes behind the last edit", Unit: Count,
				Help:    "By reason. Updating: nothing holds the change.",
				Queries: []Query{{`sum by (reason) (hypermirror_control_planes_pending{` + manager + `})`, "{{reason}}"}}},
			{Title: "Age of the oldest pending edit", Unit: Seconds,
				Queries: []Query{{`max by (reason) (hypermirror_control_planes_pending_seconds{` + manager + `})`, "{{reason}}"}}},
			{Title: "From an edit to all targets", Unit: Seconds,
				Help:    "For each hosted cluster, without the time for which a person held the change.",
				Queries: quantiles("hypermirror_control_plane_update_duration_seconds", manager)},
			{Title: "Target Deployments", Unit: Count, Queries: []Query{
				{`sum(max by (cluster, namespace) (hypermirror_targets{` + manager + `}))`, "all"},
				{`sum(hypermirror_targets_pending{` + manager + `})`, "pending"},
			}},
			{Title: "Writes to targets", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_target_patches_total{` + manager + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Rollouts", Unit: Count,
				Queries: []Query{{`sum by (state) (hypermirror_rollouts{` + manager + `})`, "{{state}}"}}},
		}},
		{"Edits to nodes", []Panel{
			{Title: "Guest clusters behind the last edit", Unit: Count,
				Queries: []Query{{`sum by (reason) (hypermirror_guests_pending{` + manager + `})`, "{{reason}}"}}},
			{Title: "Age of the oldest pending edit of nodes", Unit: Seconds,
				Queries: []Query{{`max by (reason) (hypermirror_guests_pending_seconds{` + manager + `})`, "{{reason}}"}}},
			{Title: "From an edit to all nodes", Unit: Seconds, Queries: quantiles("hypermirror_nodes_update_duration_seconds", manager)},
			{Title: "Nodes", Unit: Count, Queries: []Query{
				{`sum(max by (cluster, namespace) (hypermirror_nodes{` + manager + `}))`, "all"},
				{`sum(max by (cluster, namespace) (hypermirror_nodes_applied{` + manager + `}))`, "reported as up to date"},
				{`sum(hypermirror_nodes_pending{` + manager + `})`, "pending"},
			}},
			{Title: "Connections to guest clusters", Unit: Count,
				Help:    "Hosted clusters by the reason of GuestSynced.",
				Queries: []Query{{`sum by (reason) (max by (cluster, namespace, reason) (hypermirror_guests{` + manager + `}))`, "{{reason}}"}}},
			{Title: "Requests to guest clusters", Unit: Rate,
				Queries: []Query{{`sum by (code) (rate(hypermirror_guest_requests_total{` + manager + `}[$__rate_interval]))`, "{{code}}"}}},
		}},
		{"Manager", []Panel{
			{Title: "Reconciles", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_reconcile_duration_seconds_count{` + manager + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Duration of reconciles", Unit: Seconds, Queries: quantiles("hypermirror_reconcile_duration_seconds", manager)},
			{Title: "Requests to the API server", Unit: Rate,
				Queries: []Query{{`sum by (verb, code) (rate(hypermirror_client_requests_total{` + manager + `}[$__rate_interval]))`, "{{verb}} {{code}}"}}},
			{Title: "Reviews by the webhook", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_webhook_reviews_total{` + manager + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "The webhook's certificate expires in", Unit: Seconds,
				Queries: []Query{{`min by (cluster, namespace) (hypermirror_webhook_certificate_expires{` + manager + `} > 0) - time()`, "{{namespace}}"}}},
			{Title: "Mirrors of the management cluster", Unit: Count, Queries: []Query{
				{`sum(max by (cluster, namespace) (hypermirror_sources{` + manager + `}))`, "sources"},
				{`sum(max by (cluster, namespace) (hypermirror_source_conflicts{` + manager + `}))`, "sources with different policies"},
				{`sum by (severity) (max by (cluster, namespace, severity) (hypermirror_findings{` + manager + `}))`, "findings: {{severity}}"},
			}},
		}},
	},
}
