{{/* Not empty if the kind is served, or is to be rendered nevertheless. */}}
{{- define "hypermirror.monitoring.render" -}}
{{- $mode := .root.Values.monitoring.renderMode -}}
{{- $group := .group | default "monitoring.coreos.com/v1" -}}
{{- $apis := .root.Capabilities.APIVersions -}}
{{- $served := or ($apis.Has (printf "%s/%s" $group .kind)) ($apis.Has $group) -}}
{{- if and (not $served) (eq $mode "failIfMissing") -}}
{{- fail (printf "the cluster does not serve %s of %s: install its CRD, or set monitoring.renderMode=skipIfMissing" .kind $group) -}}
{{- end -}}
{{- if or $served (eq $mode "alwaysRender") }}true{{ end -}}
{{- end -}}

{{/* The kinds that values ask for and that are not rendered, as a list. */}}
{{- define "hypermirror.monitoring.missing" -}}
{{- $monitoring := .Values.monitoring -}}
{{- range $field, $kind := dict "podMonitor" "PodMonitor" "serviceMonitor" "ServiceMonitor" "prometheusRule" "PrometheusRule" -}}
{{- if and (get $monitoring $field).enabled (not (include "hypermirror.monitoring.render" (dict "root" $ "kind" $kind))) }}
- {{ $kind }}
{{- end -}}
{{- end -}}
{{- $dashboards := $monitoring.dashboards -}}
{{- if and $dashboards.enabled (eq $dashboards.mode "grafanaOperator") (not (include "hypermirror.monitoring.render" (dict "root" $ "group" "grafana.integreatly.org/v1beta1" "kind" "GrafanaDashboard"))) }}
- GrafanaDashboard
{{- end -}}
{{- end -}}

{{/* The components that run, as a list. */}}
{{- define "hypermirror.monitoring.components" -}}
{{- if .Values.manager.enabled }}
- manager
{{- end }}
{{- if include "hypermirror.registryManager.enabled" . }}
- registry-manager
{{- end }}
{{- if .Values.agent.enabled }}
- agent
{{- end }}
{{- end -}}

{{- define "hypermirror.monitoring.podMonitor" -}}
{{- $values := .root.Values.monitoring.podMonitor -}}
{{- $component := get .object.spec.selector.matchLabels "app.kubernetes.io/component" -}}
{{- if not (has $component (include "hypermirror.monitoring.components" .root | fromYamlArray)) }}skip{{ end -}}
{{- $_ := set .object.metadata "labels" (merge .object.metadata.labels $values.labels) -}}
{{- with $values.podMetricsEndpoints }}{{ $_ := set $.object.spec "podMetricsEndpoints" . }}{{ end -}}
{{- end -}}

{{- define "hypermirror.monitoring.rule" -}}
{{- $_ := set .object.metadata "namespace" .namespace -}}
{{- $_ := set .object.metadata "labels" (merge .object.metadata.labels .root.Values.monitoring.prometheusRule.labels) -}}
{{- end -}}

{{/* The label by which Grafana's sidecar finds ConfigMaps means nothing on a GrafanaDashboard. */}}
{{- define "hypermirror.monitoring.dashboard" -}}
{{- $values := .root.Values.monitoring.dashboards -}}
{{- $metadata := .object.metadata -}}
{{- $_ := set $metadata "namespace" .namespace -}}
{{- $_ := set $metadata "labels" (merge (deepCopy $values.labels) $metadata.labels) -}}
{{- with $values.annotations }}{{ $_ := set $metadata "annotations" (merge (deepCopy .) ($metadata.annotations | default dict)) }}{{ end -}}
{{- if eq $values.mode "grafanaOperator" -}}
{{- $_ := unset $metadata.labels "grafana_dashboard" -}}
{{- $_ := set .object "apiVersion" "grafana.integreatly.org/v1beta1" -}}
{{- $_ := set .object "kind" "GrafanaDashboard" -}}
{{- $_ := set .object "spec" (dict "instanceSelector" $values.instanceSelector "json" (values .object.data | first)) -}}
{{- $_ := unset .object "data" -}}
{{- end -}}
{{- end -}}
