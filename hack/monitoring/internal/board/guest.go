package board

const agent = `cluster=~"$cluster",instance=~"$instance"`

// Guest is about the nodes of one hosted cluster. The agents are scraped in its guest cluster: the manager's metrics have no names,
// because the number of series must not grow with the fleet.
var Guest = Board{
	UID:   "hypermirror-hosted-cluster",
	Title: "hypermirror: one hosted cluster",
	Help:  "The agents on the nodes of a hosted cluster. Its control plane: kubectl describe hcm.",
	Variables: []Variable{
		{"cluster", "Cluster", "label_values(hypermirror_agent_applied, cluster)"},
		{"instance", "Node", `label_values(hypermirror_agent_applied{cluster=~"$cluster"}, instance)`},
	},
	Console: true,
	Rows: []Row{
		{"Now", []Panel{
			{Title: "Nodes with an agent", Unit: Count, Stat: true,
				Queries: []Query{{`count(hypermirror_agent_applied{` + agent + `})`, ""}}},
			{Title: "Not up to date", Unit: Count, Stat: true, Bad: 1,
				Queries: []Query{{`sum(1 - hypermirror_agent_applied{` + agent + `})`, ""}}},
			{Title: "Not loaded", Unit: Count, Stat: true, Bad: 1,
				Help:    "The file is written, and the container runtime has not loaded it.",
				Queries: []Query{{`sum(hypermirror_agent_reload_pending{` + agent + `})`, ""}}},
			{Title: "Ignored entries", Unit: Count, Stat: true, Bad: 1,
				Queries: []Query{{`max(hypermirror_agent_rejected_entries{` + agent + `})`, ""}}},
			{Title: "Overridden sources", Unit: Count, Stat: true, Bad: 1,
				Help:    "Sources that another file on the node overrides.",
				Queries: []Query{{`max(hypermirror_agent_shadowed_sources{` + agent + `})`, ""}}},
			{Title: "Sources", Unit: Count, Stat: true,
				Queries: []Query{{`max(hypermirror_agent_sources{` + agent + `})`, ""}}},
		}},
		{"Edits", []Panel{
			{Title: "Nodes that are not up to date", Unit: Count, Queries: []Query{
				{`sum(1 - hypermirror_agent_applied{` + agent + `})`, "file not written"},
				{`sum(hypermirror_agent_reload_pending{` + agent + `})`, "not loaded"},
			}},
			{Title: "From a change to the file", Unit: Seconds, Queries: quantiles("hypermirror_agent_write_delay_seconds", agent)},
			{Title: "Changes of the file", Unit: Rate,
				Queries: []Query{{`sum(rate(hypermirror_agent_writes_total{` + agent + `}[$__rate_interval]))`, "writes"}}},
			{Title: "Reloads of the container runtime", Unit: Rate,
				Queries: []Query{{`sum by (outcome) (rate(hypermirror_agent_reloads_total{` + agent + `}[$__rate_interval]))`, "{{outcome}}"}}},
			{Title: "Sources by node", Unit: Count,
				Queries: []Query{{`hypermirror_agent_sources{` + agent + `}`, "{{instance}}"}}},
			{Title: "Requests to the API server", Unit: Rate,
				Queries: []Query{{`sum by (verb, code) (rate(hypermirror_client_requests_total{` + agent +
					`}[$__rate_interval]) and on (instance) hypermirror_agent_applied)`, "{{verb}} {{code}}"}}},
		}},
	},
}
